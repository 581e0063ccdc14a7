/** Models of odd shapes, which no golden has: the CPU backend's kernels against the reference, both forms of attention. */
import { cpu } from '@mariana/backend-cpu';
import { reference } from '@mariana/backend-reference';
import { type Backend, type ModelConfig, parseConfig, RandomWeights } from '@mariana/core';
import { LatentCache, Transformer } from '@mariana/layers';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { poolFor } from '../src/check.ts';
import { expectClose } from '../src/compare.ts';

interface Shape {
  readonly heads: number;
  readonly groups: number;
  readonly expertsPerGroup: number;
  readonly topGroups: number;
  readonly topK: number;
  readonly ropePairs: number;
  readonly vocab: number;
  readonly dense: number;
  readonly layers: number;
  readonly hidden: number;
  readonly qLora: number | null;
  readonly fp8: boolean;
}

/** The shape that a held-out set has: 5 heads, 12 experts in 3 groups, rope dimension 6, odd vocabulary, 2 dense layers. */
const HELD_OUT: Shape = {
  heads: 5,
  groups: 3,
  expertsPerGroup: 4,
  topGroups: 2,
  topK: 3,
  ropePairs: 3,
  vocab: 251,
  dense: 2,
  layers: 4,
  hidden: 60,
  qLora: 28,
  fp8: false,
};

function configOf(shape: Shape): ModelConfig {
  return parseConfig({
    architectures: ['DeepseekV3ForCausalLM'],
    model_type: 'deepseek_v3',
    vocab_size: shape.vocab,
    hidden_size: shape.hidden,
    intermediate_size: 3 * shape.hidden + 1,
    moe_intermediate_size: shape.hidden - 1,
    num_hidden_layers: shape.layers,
    first_k_dense_replace: shape.dense,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.heads,
    q_lora_rank: shape.qLora,
    kv_lora_rank: 36,
    qk_nope_head_dim: 10,
    qk_rope_head_dim: 2 * shape.ropePairs,
    v_head_dim: 14,
    n_routed_experts: shape.groups * shape.expertsPerGroup,
    n_shared_experts: 1,
    num_experts_per_tok: shape.topK,
    n_group: shape.groups,
    topk_group: shape.topGroups,
    topk_method: 'noaux_tc',
    scoring_func: 'sigmoid',
    norm_topk_prob: true,
    routed_scaling_factor: 2.5,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    max_position_embeddings: 512,
    initializer_range: 0.3,
    hidden_act: 'silu',
    eos_token_id: 1,
    ...(shape.fp8 && {
      quantization_config: {
        quant_method: 'fp8',
        fmt: 'e4m3',
        activation_scheme: 'dynamic',
        weight_block_size: [128, 128],
      },
    }),
  });
}

/** Logits of a prompt in one pass, and of the same prompt token by token. */
async function logitsOn(backend: Backend, shape: Shape, ids: readonly number[]) {
  const config = configOf(shape);
  const weights = new RandomWeights(config, { seed: 7, dtype: shape.fp8 ? 'fp8' : 'bf16' });
  using model = await Transformer.load(config, weights, { backend });
  using whole = await model.forward(ids);
  const once = await whole.logits!.floats();
  using pool = poolFor(model, 64);
  using cache = new LatentCache(pool);
  const steps = new Float32Array(once.length);
  for (const [i, id] of ids.entries()) {
    using output = await model.forward([id], { cache, form: 'absorbed' });
    steps.set(await output.logits!.floats(), i * config.vocabSize);
  }
  return { once, steps };
}

const shapes: fc.Arbitrary<Shape> = fc
  .record({
    heads: fc.integer({ min: 1, max: 7 }),
    groups: fc.constantFrom(1, 2, 3, 4),
    expertsPerGroup: fc.integer({ min: 2, max: 5 }),
    topGroups: fc.integer({ min: 1, max: 4 }),
    topK: fc.integer({ min: 1, max: 4 }),
    ropePairs: fc.integer({ min: 1, max: 6 }),
    vocab: fc.integer({ min: 30, max: 300 }),
    dense: fc.integer({ min: 0, max: 2 }),
    layers: fc.integer({ min: 1, max: 3 }),
    hidden: fc.integer({ min: 20, max: 150 }),
    qLora: fc.option(fc.integer({ min: 5, max: 40 })),
    fp8: fc.boolean(),
  })
  .map((shape) => {
    const topGroups = Math.min(shape.topGroups, shape.groups);
    return { ...shape, topGroups, topK: Math.min(shape.topK, topGroups * shape.expertsPerGroup) };
  });

describe('odd shapes', async () => {
  const fast = await cpu({ threads: 2 });
  afterAll(() => fast.dispose());

  async function agree(shape: Shape): Promise<void> {
    const ids = Array.from({ length: 9 }, (_, i) => (i * 29 + 3) % shape.vocab);
    const expected = await logitsOn(reference(), shape, ids);
    const actual = await logitsOn(fast, shape, ids);
    expectClose('token by token on the reference', expected.steps, expected.once);
    expectClose('one pass on cpu', actual.once, expected.once);
    expectClose('token by token on cpu', actual.steps, expected.once);
    expect(fast.memory().tensors).toBe(0);
  }

  test('5 heads, 12 experts in 3 groups, rope dimension 6, odd vocabulary, 2 dense layers', () => agree(HELD_OUT));

  test('any', () =>
    fc.assert(
      fc.asyncProperty(shapes, (shape) => agree(shape)),
      { numRuns: 25, seed: 42 },
    ));
});
