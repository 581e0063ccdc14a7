import { describe, expect, it } from 'vitest';
import { parseConfig } from '../config/parse-config.ts';
import { preset } from '../config/presets.ts';
import { tiny, tinyMtp } from '../config/presets-small.ts';
import { expectedTensor, expectedTensors } from './expected-tensors.ts';
import { goldenHeaders } from './fixtures/headers.ts';

describe('expectedTensors', () => {
  it.each(goldenHeaders.map((header) => [header.name, header] as const))('are those of %s', (_, header) => {
    const fp8 = header.config.quantizationConfig !== null;
    const listed: Record<string, readonly number[]> = {};
    for (const tensor of expectedTensors(header.config)) {
      listed[tensor.name] = tensor.shape;
      expect(tensor.scale !== null).toBe(tensor.quantizable);
      expect(header.tensors.get(tensor.name)?.dtype === 'F8_E4M3').toBe(fp8 && tensor.quantizable);
      if (fp8 && tensor.scale) listed[tensor.scale.name] = tensor.scale.shape;
    }
    expect(listed).toEqual(Object.fromEntries([...header.tensors].map(([name, { shape }]) => [name, shape])));
  });

  it('come in the order of published files', () => {
    const names = [...expectedTensors(preset('tiny-mtp'))].map(({ name }) => name);
    const first = (text: string): number => names.findIndex((name) => name.includes(text));
    const order = [
      'model.embed_tokens',
      'layers.0.',
      'layers.1.mlp.gate',
      'layers.1.mlp.experts.0',
      'layers.1.mlp.experts.7',
      'layers.1.mlp.shared_experts',
      'model.norm',
      'lm_head',
      'layers.2.embed_tokens',
      'layers.2.eh_proj',
      'layers.2.mlp',
      'layers.2.shared_head.head',
    ];
    expect(order.map(first)).toEqual([...order.map(first)].sort((a, b) => a - b));
    expect(order.map(first)).not.toContain(-1);
  });

  it('of DeepSeek-V3 are the 91,991 entries of its index, scales included', () => {
    let entries = 0;
    for (const { quantizable } of expectedTensors(preset('deepseek-v3'))) entries += quantizable ? 2 : 1;
    expect(entries).toBe(91_991);
  });

  it('say which copies the prediction layer shares, and with what', () => {
    const shared = (json: unknown) =>
      [...expectedTensors(parseConfig(json))].filter((t) => t.sharedWith !== null).map((t) => [t.name, t.sharedWith]);
    expect(shared(tiny)).toEqual([]);
    expect(shared(tinyMtp)).toEqual([
      ['model.layers.2.embed_tokens.weight', 'model.embed_tokens.weight'],
      ['model.layers.2.shared_head.head.weight', 'lm_head.weight'],
    ]);
    expect(shared({ ...tinyMtp, tie_word_embeddings: true })[1]).toEqual([
      'model.layers.2.shared_head.head.weight',
      'model.embed_tokens.weight',
    ]);
  });

  it('leave out a tied head, a bias that the router has not, and shared experts that are none', () => {
    const names = (change: object): string[] =>
      [...expectedTensors(parseConfig({ ...tiny, ...change }))].map(({ name }) => name);
    expect(names({ tie_word_embeddings: true })).not.toContain('lm_head.weight');
    expect(names({ n_shared_experts: null }).filter((name) => name.includes('shared'))).toEqual([]);
    const greedy = names({ scoring_func: 'softmax', topk_method: 'greedy' });
    expect(greedy.filter((name) => name.includes('bias'))).toEqual([]);
  });
});

describe('expectedTensor', () => {
  it('finds every listed tensor by its name, and says the same of it', () => {
    for (const { config } of goldenHeaders) {
      for (const tensor of expectedTensors(config)) expect(expectedTensor(config, tensor.name)).toEqual(tensor);
    }
  });

  it.each([
    '',
    'model.embed_tokens.bias',
    'embed_tokens.weight',
    'model.layers.3.input_layernorm.weight',
    'model.layers.00.input_layernorm.weight',
    'model.layers.-1.input_layernorm.weight',
    'model.layers.1e0.input_layernorm.weight',
    'model.layers.0.mlp.experts.0.up_proj.weight',
    'model.layers.0.mlp.gate.weight',
    'model.layers.1.mlp.up_proj.weight',
    'model.layers.1.mlp.experts.8.up_proj.weight',
    'model.layers.1.mlp.experts.01.up_proj.weight',
    'model.layers.1.mlp.experts.0.shared_experts.up_proj.weight',
    'model.layers.1.embed_tokens.weight',
    'model.layers.1.enorm.weight',
    'model.layers.1.self_attn.q_proj.weight',
    'model.layers.1.self_attn.o_proj.weight_scale_inv',
    'model.layers.99999999999999999999.input_layernorm.weight',
  ])('finds no place for %s', (name) => {
    expect(expectedTensor(preset('tiny'), name)).toBeUndefined();
  });
});
