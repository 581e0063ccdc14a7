import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../config/parse-config.ts';
import { preset } from '../config/presets.ts';
import { tiny } from '../config/presets-small.ts';
import { MarianaError } from '../errors.ts';
import { expectedTensors } from './expected-tensors.ts';
import { asCheckpoint, goldenHeader, goldenHeaders, type TensorInfo } from './fixtures/headers.ts';
import { type CheckpointSummary, validateCheckpoint } from './validate-checkpoint.ts';

type Tensors = Map<string, TensorInfo>;

/** Validates the golden checkpoint `name` after `change`. */
function validate(name: string, change: (tensors: Tensors) => void = () => {}, json: object = {}): CheckpointSummary {
  const golden = goldenHeader(name);
  const tensors: Tensors = new Map([...golden.tensors].map(([key, info]) => [key, structuredClone(info)]));
  change(tensors);
  return validateCheckpoint(parseConfig({ ...golden.json, ...json }), asCheckpoint(tensors), { source: 'model' });
}

function failure(run: () => unknown): MarianaError {
  try {
    run();
  } catch (error) {
    if (error instanceof MarianaError) return error;
    throw error;
  }
  throw new Error('the checkpoint was accepted');
}

describe('validateCheckpoint', () => {
  it.each(goldenHeaders.map((header) => [header.name, header] as const))('accepts %s', (name, header) => {
    expect(validate(name)).toEqual({
      mtp: name === 'tiny-mtp',
      fp8Weights: [...header.tensors.values()].filter(({ dtype }) => dtype === 'F8_E4M3').length,
      integerWeights: 0,
      tensors: header.tensors.size,
      omittedCopies: [],
    });
  });

  it('accepts any dense dtype, spelt either way, and weights that a quantised model keeps dense', () => {
    const dtypes = ['F32', 'F16', 'BF16', 'f32', 'f16', 'bf16'];
    validate('tiny-dense-moe', (tensors) => {
      [...tensors.values()].forEach((info, index) => {
        info.dtype = dtypes[index % dtypes.length]!;
      });
    });
    const weight = 'model.layers.1.self_attn.o_proj.weight';
    const summary = validate('tiny-fp8', (tensors) => {
      tensors.get(weight)!.dtype = 'BF16';
      tensors.delete(`${weight}_scale_inv`);
    });
    expect(summary.fp8Weights).toBe(validate('tiny-fp8').fp8Weights - 1);
  });

  it('tolerates buffers of positions, and a head beside a tied embedding', () => {
    const buffer = { dtype: 'F32', shape: [4] };
    validate('tiny-dense-moe', (tensors) => tensors.set('model.layers.0.self_attn.rotary_emb.inv_freq', buffer));
    validate('tiny-dense-moe', () => {}, { tie_word_embeddings: true });
  });

  it('accepts a checkpoint without the prediction layer, or without its copies, but not half of it', () => {
    const prediction = (name: string): boolean => name.startsWith('model.layers.2.');
    const drop = (test: (name: string) => boolean) => (tensors: Tensors) => {
      for (const name of [...tensors.keys()]) if (test(name)) tensors.delete(name);
    };
    expect(validate('tiny-mtp', drop(prediction))).toMatchObject({ mtp: false, omittedCopies: [] });
    const copies = ['model.layers.2.embed_tokens.weight', 'model.layers.2.shared_head.head.weight'];
    expect(
      validate(
        'tiny-mtp',
        drop((name) => copies.includes(name)),
      ),
    ).toMatchObject({
      mtp: true,
      omittedCopies: copies,
    });
    const half = failure(() =>
      validate(
        'tiny-mtp',
        drop((name) => prediction(name) && name.includes('self_attn')),
      ),
    );
    expect(half.code).toBe('TENSOR_MISSING');
    expect(half.details.missing).toBe(7);
  });

  it('finds the prediction layer unexpected where the config has none', () => {
    const error = failure(() => validate('tiny-mtp', () => {}, { num_nextn_predict_layers: 0 }));
    expect(error.code).toBe('TENSOR_UNEXPECTED');
    expect(error.message).toMatch(/^model: model\.layers\.2\./);
  });

  it('names any tensor that is missing, misshapen, of another dtype, or too many', () => {
    const goldens = fc.constantFrom(...goldenHeaders);
    fc.assert(
      fc.property(goldens, fc.nat(), fc.nat(), (golden, pick, kind) => {
        const names = [...golden.tensors.keys()];
        const name = names[pick % names.length]!;
        const scale = name.endsWith('_scale_inv');
        const copy = /layers\.2\.(embed_tokens|shared_head\.head)/.test(name) && golden.name === 'tiny-mtp';
        const [code, change]: [string, (tensors: Tensors) => void] = [
          ['TENSOR_MISSING', (tensors: Tensors) => void tensors.delete(name)],
          ['TENSOR_MISMATCH', (tensors: Tensors) => void tensors.get(name)!.shape.push(1)],
          ['TENSOR_MISMATCH', (tensors: Tensors) => void tensors.get(name)!.shape[0]!++],
          ['TENSOR_MISMATCH', (tensors: Tensors) => void Object.assign(tensors.get(name)!, { dtype: 'I32' })],
          ['TENSOR_UNEXPECTED', (tensors: Tensors) => void tensors.set(`${name}_extra`, tensors.get(name)!)],
        ][kind % 5] as [string, (tensors: Tensors) => void];
        fc.pre(!(copy && code === 'TENSOR_MISSING'));
        const error = failure(() => validate(golden.name, change));
        // A weight that is not there, or not FP8, leaves its scale behind; the weight is still what is named.
        expect(error.code).toBe(code);
        expect(error.details.names).toContain(code === 'TENSOR_UNEXPECTED' ? `${name}_extra` : name);
        expect(error.message).toMatch(/^model: model\.|^model: lm_head\./);
        expect(error.message).not.toContain('\n');
        if (!scale) expect(error.message).toContain(name);
      }),
      { numRuns: 500 },
    );
  });

  it('wants a scale of the right kind with every FP8 weight, and with no other', () => {
    const weight = 'model.layers.1.mlp.experts.3.up_proj.weight';
    const cases: [string, (tensors: Tensors) => void, object?][] = [
      ['TENSOR_MISSING', (tensors) => tensors.delete(`${weight}_scale_inv`)],
      ['TENSOR_MISMATCH', (tensors) => Object.assign(tensors.get(`${weight}_scale_inv`)!, { dtype: 'BF16' })],
      ['TENSOR_MISMATCH', (tensors) => Object.assign(tensors.get(`${weight}_scale_inv`)!, { shape: [1, 2] })],
      ['TENSOR_UNEXPECTED', (tensors) => Object.assign(tensors.get(weight)!, { dtype: 'BF16' })],
      [
        'TENSOR_MISMATCH',
        (tensors) => Object.assign(tensors.get('model.layers.1.mlp.gate.weight')!, { dtype: 'F8_E4M3' }),
      ],
      ['TENSOR_MISMATCH', () => {}, { quantization_config: null }],
      ['TENSOR_MISMATCH', () => {}, { quantization_config: { quant_method: 'fp8', weight_block_size: [64, 64] } }],
    ];
    for (const [code, change, json] of cases) {
      expect(failure(() => validate('tiny-fp8', (tensors) => void change(tensors), json)).code).toBe(code);
    }
  });

  describe('of a converted checkpoint', () => {
    const quantization_config = { quant_method: 'mariana', format: 'int8', group_size: 32 };
    const int8 = 'model.layers.0.self_attn.o_proj.weight';
    const int4 = 'model.layers.1.mlp.experts.3.up_proj.weight';
    const convert = (tensors: Tensors) => {
      for (const name of [int8, 'lm_head.weight']) {
        const [rows, columns] = tensors.get(name)!.shape as [number, number];
        tensors.set(name, { dtype: 'I8', shape: [rows, columns] });
        tensors.set(`${name}_scale`, { dtype: 'F32', shape: [rows, Math.ceil(columns / 32)] });
      }
      const [rows, columns] = tensors.get(int4)!.shape as [number, number];
      tensors.set(int4, { dtype: 'U8', shape: [rows, Math.ceil(columns / 2)] });
      tensors.set(`${int4}_scale`, { dtype: 'F32', shape: [rows, Math.ceil(columns / 32)] });
    };

    it('takes integers with their scales, beside weights that stayed dense', () => {
      const { size } = goldenHeader('tiny-dense-moe').tensors;
      const summary = validate('tiny-dense-moe', convert, { quantization_config });
      expect(summary).toMatchObject({ fp8Weights: 0, integerWeights: 3, tensors: size + 3 });
    });

    it('refuses integers without scales, with wrong ones, in the wrong place, or unannounced', () => {
      const cases: [string, (tensors: Tensors) => void, object?][] = [
        ['TENSOR_MISSING', (tensors) => tensors.delete(`${int8}_scale`)],
        ['TENSOR_MISSING', (tensors) => tensors.delete(`${int4}_scale`)],
        ['TENSOR_MISMATCH', (tensors) => Object.assign(tensors.get(`${int8}_scale`)!, { dtype: 'BF16' })],
        ['TENSOR_MISMATCH', () => {}, { quantization_config: { ...quantization_config, group_size: 128 } }],
        ['TENSOR_MISMATCH', (tensors) => Object.assign(tensors.get(int4)!, { shape: [32, 64] })],
        ['TENSOR_MISMATCH', (tensors) => Object.assign(tensors.get('model.embed_tokens.weight')!, { dtype: 'I8' })],
        ['TENSOR_UNEXPECTED', (tensors) => Object.assign(tensors.get(int8)!, { dtype: 'BF16' })],
        ['TENSOR_MISMATCH', () => {}, { quantization_config: null }],
      ];
      for (const [code, change, json] of cases) {
        const changed = (tensors: Tensors) => {
          convert(tensors);
          change(tensors);
        };
        expect(failure(() => validate('tiny-dense-moe', changed, { quantization_config, ...json })).code).toBe(code);
      }
    });
  });

  it('says how much of a checkpoint of another model does not fit', () => {
    const error = failure(() => validate('tiny-no-q-lora', () => {}, { q_lora_rank: 48 }));
    expect(error.code).toBe('TENSOR_MISSING');
    expect(error.message).toMatch(
      /q_a_proj\.weight is missing \(in all: 9 are missing, 3 have no place in the config\)/,
    );
    expect(error.details).toMatchObject({ missing: 9, unexpected: 3, mismatched: 0 });
  });

  it('gives up early on a model that is not there, however large the config claims it is', () => {
    const config = parseConfig({ ...tiny, num_hidden_layers: 4096, n_routed_experts: 65536 });
    const error = failure(() => validateCheckpoint(config, asCheckpoint(new Map())));
    expect(error.code).toBe('TENSOR_MISSING');
    expect(error.message).toMatch(/1000 or more are missing/);
  });

  it('accepts DeepSeek-V3, all 91,991 tensors of it', () => {
    const config = preset('deepseek-v3');
    const tensors: Tensors = new Map();
    for (const { name, shape, scale } of expectedTensors(config)) {
      tensors.set(name, { dtype: scale ? 'F8_E4M3' : 'BF16', shape: [...shape] });
      if (scale) tensors.set(scale.name, { dtype: 'F32', shape: [...scale.shape] });
    }
    expect(validateCheckpoint(config, asCheckpoint(tensors))).toMatchObject({ mtp: true, tensors: 91_991 });
  });
});
