/** Values inside the model: residual stream, attention, cache content, routing, experts. */
import type { Routing } from '@mariana/core';
import { DeepSeekMoE, MultiHeadLatentAttention, RmsNorm } from '@mariana/layers';
import type { GoldenCheck, GoldenContext } from '../check.ts';
import { expectClose, expectEqual } from '../compare.ts';

const FULL = ['tiny-dense-moe', 'tiny-sharded', 'tiny-no-q-lora', 'tiny-v2-softmax', 'tiny-v2-group'] as const;
const LAYER = 1;

/**
 * The cache contents of p0 in the fixtures are the first rows of p1's: the reference's cache buffer was stored by
 * reference and overwritten by the second prompt. Only those of the last prompt are what they say.
 */
const LAST_PROMPT = 'p1';

/** The residual stream before layer 1 through its input norm: what its attention takes. */
async function attentionInput({ golden, backend }: GoldenContext, prompt: string) {
  const { hiddenSize: width, rmsNormEps: epsilon } = golden.config;
  const name = `${prompt}.hidden.${LAYER}`;
  using hidden = backend.upload(await golden.floats(name), golden.shape(name));
  using norm = await RmsNorm.load(golden.weights, `model.layers.${LAYER}.input_layernorm.weight`, {
    width,
    epsilon,
    backend,
  });
  return norm.forward(hidden);
}

/** Sorts the experts of each token ascending, with their weights, as the fixtures have them. */
function ascending(indices: Int32Array, weights: Float32Array, topK: number) {
  const order = Array.from(indices.keys()).sort((a, b) => {
    const rows = Math.floor(a / topK) - Math.floor(b / topK);
    return rows === 0 ? indices[a]! - indices[b]! : rows;
  });
  return { indices: order.map((i) => indices[i]!), weights: order.map((i) => weights[i]!) };
}

export const intermediateCases: GoldenCheck[] = [
  {
    name: 'residual stream after every layer, and after the final norm',
    folders: FULL,
    async check({ golden, model, backend }) {
      for (const prompt of golden.prompts) {
        using output = await model.forward(await golden.integers(`${prompt}.input_ids`), {
          onHidden: async (index, hidden) => {
            const actual = (await backend.read(hidden)) as Float32Array;
            expectClose(`${prompt}.hidden.${index}`, actual, await golden.floats(`${prompt}.hidden.${index}`));
          },
        });
        const actual = (await backend.read(output.hidden)) as Float32Array;
        expectClose(`${prompt}.hidden.final_norm`, actual, await golden.floats(`${prompt}.hidden.final_norm`));
      }
    },
  },
  {
    name: 'one attention layer alone, and what its cache holds',
    folders: FULL,
    async check(context) {
      const { golden, backend } = context;
      const { config, weights } = golden;
      using attention = await MultiHeadLatentAttention.load(config, weights, { layer: LAYER, backend });
      for (const prompt of golden.prompts) {
        using x = await attentionInput(context, prompt);
        const tokens = x.shape[0]!;
        using cache = attention.createCache({ tokens });
        using y = await attention.forward(x, { cache });
        const at = `${prompt}.layer${LAYER}`;
        expectClose(`${at}.attn_out`, await y.floats(), await golden.floats(`${at}.attn_out`));
        if (prompt !== LAST_PROMPT) continue;
        using pool = backend.slice(cache.cache.pool.rows(0), 0, 0, tokens);
        using latent = backend.slice(pool, 1, 0, config.kvLoraRank);
        using key = backend.slice(pool, 1, config.kvLoraRank, pool.shape[1]!);
        expectClose(`${at}.kv_latent`, await latent.floats(), await golden.floats(`${at}.kv_latent`));
        expectClose(`${at}.k_pe`, await key.floats(), await golden.floats(`${at}.k_pe`));
      }
    },
  },
  {
    name: 'routing: scores, experts, weights',
    folders: [...FULL, 'tiny-negbias'],
    async check({ golden, model, backend }) {
      const { numExpertsPerTok: topK } = golden.config;
      for (const prompt of golden.prompts) {
        let seen = 0;
        const check = async (routing: Routing) => {
          seen++;
          const at = `${prompt}.layer${LAYER}`;
          const [indices, weights] = [await backend.read(routing.indices), await backend.read(routing.weights)];
          const sorted = ascending(indices as Int32Array, weights as Float32Array, topK);
          expectEqual(`${at}.topk_indices`, sorted.indices, await golden.integers(`${at}.topk_indices`));
          expectClose(`${at}.topk_weights`, sorted.weights, await golden.floats(`${at}.topk_weights`));
          const scores = await routing.scores.floats();
          expectClose(`${at}.router_scores`, scores, await golden.floats(`${at}.router_scores`));
        };
        using _output = await model.forward(await golden.integers(`${prompt}.input_ids`), {
          onRouting: (layer, routing) => (layer === LAYER ? check(routing) : undefined),
        });
        if (seen !== 1) throw new Error(`layer ${LAYER} routed ${seen} times, expected once`);
      }
    },
  },
  {
    name: 'one mixture of experts alone',
    folders: FULL,
    async check({ golden, backend }) {
      const { config, weights } = golden;
      using moe = await DeepSeekMoE.load(config, weights, { layer: LAYER, backend });
      using norm = await RmsNorm.load(weights, `model.layers.${LAYER}.post_attention_layernorm.weight`, {
        width: config.hiddenSize,
        epsilon: config.rmsNormEps,
        backend,
      });
      for (const prompt of golden.prompts) {
        const at = `${prompt}.layer${LAYER}`;
        const shape = golden.shape(`${at}.attn_out`);
        using before = backend.upload(await golden.floats(`${prompt}.hidden.${LAYER}`), shape);
        using attended = backend.upload(await golden.floats(`${at}.attn_out`), shape);
        using h = backend.binary('add', before, attended);
        using x = norm.forward(h);
        using y = await moe.forward(x);
        expectClose(`${at}.moe_out`, await y.floats(), await golden.floats(`${at}.moe_out`));
      }
    },
  },
];
