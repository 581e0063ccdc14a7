/** The three products of the FP8 linear layer against the fixture train-fp8-linear: codes and scales exact. */
import { reference } from '@mariana/backend-reference';
import { type Backend, E4M3_MAX, encodeE4m3, type ScaleFormat, type Tensor } from '@mariana/core';
import { describe, expect, it } from 'vitest';
import {
  autodiff,
  dequantizeFp8Blocks,
  dequantizeFp8Tiles,
  fp8Forward,
  fp8InputGradient,
  fp8Linear,
  fp8WeightGradient,
  quantizeFp8Blocks,
} from '../src/index.ts';
import { expectRelative, Golden } from './support/golden.ts';

const golden = await Golden.open('train-fp8-linear');
const names = await golden.names();

const load = async (backend: Backend, name: string) =>
  backend.upload(await golden.floats(name), await golden.shape(name));

async function expectExact(name: string, tensor: Tensor) {
  const expected = name.endsWith('codes') ? await golden.integers(name) : await golden.floats(name);
  expect([...tensor.shape], name).toEqual([...(await golden.shape(name))]);
  const actual = await tensor.read();
  expect(
    actual.findIndex((value, i) => value !== expected[i]),
    `${name}: first difference`,
  ).toBe(-1);
}

/** The fixture keeps what runs along the tokens with the tokens first; products want them last. */
const turned = (tensor: Tensor) => tensor.backend.transpose(tensor, [1, 0]);

describe.each([
  ['A', 'A', 'f32'],
  ['B', 'B', 'f32'],
  ['C', 'C', 'f32'],
  ['B', 'B.pow2', 'ue8m0'],
  ['C', 'C.pow2', 'ue8m0'],
] as const)('case %s (%s)', (source, expected, scale: ScaleFormat) => {
  const options = { inputScale: scale, gradientScale: scale };

  async function setup() {
    const backend = reference();
    const [x, w, dy] = await Promise.all(['x', 'W', 'dy'].map((name) => load(backend, `${source}.${name}`)));
    const weight = quantizeFp8Blocks(backend, w!, { scaleFormat: scale });
    return { backend, x: x!, dy: dy!, weight };
  }

  it('forward', async () => {
    const { backend, x, weight } = await setup();
    const forward = fp8Forward(backend, x, weight, options);
    await expectExact(`${expected}.w_codes`, weight.codes);
    await expectExact(`${expected}.w_scales`, weight.scales);
    await expectExact(`${expected}.x_codes`, forward.x.codes);
    await expectExact(`${expected}.x_scales`, forward.x.scales);
    expectRelative('y', await forward.y.read(), await golden.floats(`${expected}.y`), 2e-6);
  });

  it('input gradient', async () => {
    const { backend, dy, weight } = await setup();
    const gradient = fp8InputGradient(backend, dy, weight, options);
    await expectExact(`${expected}.dy_codes`, gradient.dy.codes);
    await expectExact(`${expected}.dy_scales`, gradient.dy.scales);
    expectRelative('dx', await gradient.dx.read(), await golden.floats(`${expected}.dx`), 2e-6);
  });

  it('weight gradient', async () => {
    const { backend, x, dy, weight } = await setup();
    const tiles = fp8Forward(backend, x, weight, options).x;
    const gradient = fp8WeightGradient(backend, dy, tiles, options);
    await expectExact(`${expected}.xt_codes`, turned(gradient.x.codes));
    await expectExact(`${expected}.xt_scales`, turned(gradient.x.scales));
    await expectExact(`${expected}.dyt_codes`, turned(gradient.dy.codes));
    await expectExact(`${expected}.dyt_scales`, turned(gradient.dy.scales));
    if (names.includes(`${expected}.dW`)) {
      expectRelative('dW', await gradient.dw.read(), await golden.floats(`${expected}.dW`), 2e-6);
    }
  });

  it('all three as one differentiable operation', async () => {
    const backend = autodiff(reference());
    const [x, w, seed] = await Promise.all(['x', 'W', 'dy'].map((name) => load(backend, `${source}.${name}`)));
    const [input, weight] = [backend.parameter(x!), backend.parameter(w!)];
    const y = fp8Linear(backend, input, weight, { ...options, weightScale: scale });
    expectRelative('y', await y.read(), await golden.floats(`${expected}.y`), 2e-6);
    const gradients = backend.backward(y, { seed: seed! });
    expectRelative('dx', await gradients.get(input)!.read(), await golden.floats(`${expected}.dx`), 2e-6);
    if (names.includes(`${expected}.dW`)) {
      expectRelative('dW', await gradients.get(weight)!.read(), await golden.floats(`${expected}.dW`), 2e-6);
    }
    for (const tensor of [...gradients.values(), y, seed!, input, weight]) tensor.dispose();
    expect(backend.inner.memory()).toEqual({ tensors: 0, bytes: 0 });
  });
});

describe('quantisation', () => {
  it('divides by the scale, as kernel.py does, where other ways give other codes', async () => {
    const backend = reference();
    const [values, amaxes] = [await golden.floats('style.value'), await golden.floats('style.amax')];
    const expected = await golden.integers('style.codes');
    for (const [i, value] of values.entries()) {
      const x = backend.upload(Float32Array.of(value, amaxes[i]!), [1, 2]);
      const codes = await backend.quantizeActivations(x).codes.read();
      expect(codes[0], `value ${value} in a tile of ${amaxes[i]}`).toBe(expected[3 * i]);
    }
  });

  it('leaves nothing behind, and comes back within half a step of three mantissa bits', async () => {
    const backend = reference();
    const values = Float32Array.from({ length: 130 * 140 }, (_, i) => Math.sin(i) * (1 + (i % 7)));
    const w = backend.upload(values, [130, 140]);
    const blocks = quantizeFp8Blocks(backend, w);
    expect(blocks.scales.shape).toEqual([2, 2]);
    const restored = await dequantizeFp8Blocks(backend, blocks).read();
    const scales = await blocks.scales.read();
    values.forEach((value, i) => {
      const scale = scales[2 * Math.floor(i / (128 * 140)) + Math.floor((i % 140) / 128)]!;
      expect(Math.abs(restored[i]! - value)).toBeLessThanOrEqual(Math.max(Math.abs(value) / 16, scale / 1024) * 1.001);
    });
    expect(backend.memory().tensors).toBe(4);
  });

  it('rounds power-of-two scales up, also just above a power of two', async () => {
    const backend = reference();
    for (const exponent of [-20, -3, 0, 5]) {
      const power = 2 ** exponent;
      const above = Math.fround(power * (1 + 2 ** -23));
      for (const [amax, scale] of [
        [448 * power, power],
        [448 * above, 2 * power],
      ] as const) {
        if (amax < 1e-4) continue;
        const w = backend.upload(Float32Array.of(amax), [1, 1]);
        const blocks = quantizeFp8Blocks(backend, w, { scaleFormat: 'ue8m0' });
        expect([...(await blocks.scales.read())]).toEqual([scale]);
        expect((await blocks.codes.read())[0]).toBe(encodeE4m3(Math.min(Math.fround(amax) / scale, E4M3_MAX)));
      }
    }
  });

  it('keeps rows and columns of size zero', () => {
    const backend = reference();
    const tiles = fp8Forward(
      backend,
      backend.upload(new Float32Array(0), [0, 3]),
      quantizeFp8Blocks(backend, backend.upload(new Float32Array(6), [2, 3])),
    );
    expect(tiles.y.shape).toEqual([0, 2]);
    expect(dequantizeFp8Tiles(backend, tiles.x).shape).toEqual([0, 3]);
  });
});
