/** Products in BF16 and FP8: what they compute, what they leave in F32, and what they leave behind. */
import { cpu } from '@mariana/backend-cpu';
import { reference } from '@mariana/backend-reference';
import { type Backend, decodeBf16, encodeBf16, preset, RandomWeights, type Tensor } from '@mariana/core';
import { afterAll, describe, expect, it } from 'vitest';
import {
  autodiff,
  Bf16Product,
  Fp8Product,
  fp8Linear,
  modelLoss,
  Optimizer,
  type Precision,
  TrainableModel,
  trainingStep,
  usesShortFormat,
} from '../src/index.ts';
import { expectRelative } from './support/golden.ts';
import { randomValues } from './support/random.ts';

const config = { ...preset('tiny'), numHiddenLayers: 2 };
const tokens = Int32Array.from({ length: 2 * 13 }, (_, i) => (i * 37 + (i >> 2)) % config.vocabSize);
const batch = { tokens, sequences: 2 };
const threads = await cpu({ threads: 2 });
afterAll(() => threads.dispose());

const upload = (backend: Backend, shape: [number, number], seed: number) =>
  backend.upload(Float32Array.from(randomValues(shape[0] * shape[1], seed)), shape);

const bf16 = (values: Iterable<number>) => Array.from(values, (value) => decodeBf16(encodeBf16(value)));

/** [rows, inner] times [columns, inner] transposed, in double precision. */
function product(a: readonly number[], b: readonly number[], inner: number): number[] {
  const [rows, columns] = [a.length / inner, b.length / inner];
  return Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let i = 0; i < inner; i++) sum += a[row * inner + i]! * b[column * inner + i]!;
    return sum;
  });
}

function transposed(x: readonly number[], columns: number): number[] {
  const rows = x.length / columns;
  return Array.from({ length: x.length }, (_, at) => x[(at % rows) * columns + Math.floor(at / rows)]!);
}

describe('products', () => {
  it('BF16: all three on rounded operands', async () => {
    const backend = autodiff(reference());
    const [x, w] = [backend.parameter(upload(backend, [3, 5], 1)), upload(backend, [4, 5], 2)];
    const weight = backend.denseWeight(backend.parameter(w, { product: new Bf16Product() }));
    const [xs, ws] = [bf16(await x.read()), bf16(await w.read())];
    const y = backend.linear(x, weight);
    expectRelative('y', await y.read(), product(xs, ws, 5), 1e-6);
    const seed = upload(backend, [3, 4], 3);
    const dy = bf16(await seed.read());
    const gradients = backend.backward(y, { seed });
    expectRelative('dx', await gradients.get(x)!.read(), product(dy, transposed(ws, 5), 4), 1e-6);
    const dw = product(transposed(dy, 4), transposed(xs, 5), 3);
    expectRelative('dw', await gradients.get(w)!.read(), dw, 1e-6);
  });

  it('FP8: the same numbers as fp8Linear, for any leading axes', async () => {
    const backend = autodiff(reference());
    const x = backend.parameter(backend.upload(Float32Array.from(randomValues(2 * 3 * 130, 1)), [2, 3, 130]));
    const w = backend.parameter(upload(backend, [4, 130], 2), { product: new Fp8Product({ inputScale: 'ue8m0' }) });
    const y = backend.linear(x, backend.denseWeight(w));
    expect(y.shape).toEqual([2, 3, 4]);
    expect(await y.read()).toEqual(await fp8Linear(backend, x, w, { inputScale: 'ue8m0' }).read());
    expect(backend.backward(y, { seed: y }).get(x)!.shape).toEqual([2, 3, 130]);
  });

  it('are freed with their parameter, and not before', async () => {
    for (const make of [() => new Fp8Product(), () => new Bf16Product()]) {
      const inner = reference();
      const backend = autodiff(inner);
      const w = backend.parameter(upload(backend, [4, 5], 2), { product: make() });
      const weight = backend.denseWeight(w);
      backend.scope(() => {
        const x = upload(backend, [3, 5], 1);
        backend.linear(x, weight);
        backend.backward(backend.linear(x, weight), { seed: upload(backend, [3, 4], 1) });
      });
      expect(inner.memory().tensors).toBeGreaterThan(1);
      expect(backend.memory().tensors).toBe(1);
      weight.dispose();
      expect(inner.memory()).toEqual({ tensors: 0, bytes: 0 });
    }
  });

  it('are for projections only', () => {
    const short = [
      'model.layers.0.self_attn.q_a_proj.weight',
      'model.layers.0.self_attn.kv_a_proj_with_mqa.weight',
      'model.layers.3.self_attn.kv_b_proj.weight',
      'model.layers.0.mlp.down_proj.weight',
      'model.layers.3.mlp.experts.12.up_proj.weight',
      'model.layers.3.mlp.shared_experts.gate_proj.weight',
      'model.layers.61.mlp.experts.0.gate_proj.weight',
    ];
    const precise = [
      'model.embed_tokens.weight',
      'lm_head.weight',
      'model.norm.weight',
      'model.layers.3.mlp.gate.weight',
      'model.layers.0.self_attn.q_a_layernorm.weight',
      'model.layers.61.eh_proj.weight',
      'model.layers.61.shared_head.head.weight',
    ];
    expect(short.filter((name) => !usesShortFormat(name))).toEqual([]);
    expect(precise.filter(usesShortFormat)).toEqual([]);
  });
});

describe('whole models', { timeout: 600_000 }, () => {
  async function gradientsOf(precision: Precision, inner: Backend = reference()) {
    const backend = autodiff(inner);
    const before = inner.memory();
    const model = await TrainableModel.load(config, new RandomWeights(config), { backend, precision });
    const values = new Map<string, number[]>();
    let total = 0;
    {
      using loss = await modelLoss(model, batch);
      total = (await loss.total.read())[0]!;
      const gradients = backend.backward(loss.total);
      for (const [name, { tensor }] of model.parameters) {
        using gradient = gradients.get(tensor) as Tensor;
        values.set(name, [...(await gradient.read())]);
      }
    }
    model.dispose();
    expect(inner.memory()).toEqual(before);
    return { total, values };
  }

  const distance = (a: readonly number[], b: readonly number[]) =>
    Math.hypot(...a.map((value, i) => value - b[i]!)) / Math.hypot(...b);

  it.each([
    ['bf16', 1e-4, 2 ** -6],
    ['fp8', 2e-3, 0.15],
  ] as const)(
    '%s: loss and gradients near those in F32, as its mantissa has it',
    async (precision, ofLoss, ofGradients) => {
      const [exact, short] = [await gradientsOf('f32'), await gradientsOf(precision)];
      expect(Math.abs(short.total - exact.total)).toBeLessThan(ofLoss * exact.total);
      expect(short.total).not.toBe(exact.total);
      for (const name of ['lm_head.weight', 'model.norm.weight', 'model.layers.0.mlp.down_proj.weight']) {
        expect(distance(short.values.get(name)!, exact.values.get(name)!), name).toBeLessThan(ofGradients);
      }
    },
  );

  it.each(['f32', 'bf16', 'fp8'] as const)('%s: cpu and reference agree', async (precision) => {
    const [expected, actual] = [await gradientsOf(precision), await gradientsOf(precision, threads)];
    // Where operands differ in their last bit, one may round the other way: by 2^-8 of itself in BF16, 2^-4 in E4M3.
    const tolerance = { f32: 1e-4, bf16: 2 ** -8, fp8: 2 ** -4 }[precision];
    expectRelative('loss', [actual.total], [expected.total], tolerance / 10);
    for (const [name, values] of expected.values) {
      if (Math.hypot(...values) > 0) expect(distance(actual.values.get(name)!, values), name).toBeLessThan(tolerance);
    }
  });

  it('FP8 training learns a batch by heart', async () => {
    const backend = autodiff(threads);
    using model = await TrainableModel.load(config, new RandomWeights(config), { backend, precision: 'fp8' });
    using optimizer = new Optimizer(threads, { moments: 'bf16' });
    const losses: number[] = [];
    for (let step = 0; step < 12; step++) {
      losses.push((await trainingStep(model, batch, { optimizer, learningRate: 1e-2 })).loss);
    }
    expect(losses[0]).toBeGreaterThan(5);
    expect(losses.at(-1)).toBeLessThan(2);
  });
});
