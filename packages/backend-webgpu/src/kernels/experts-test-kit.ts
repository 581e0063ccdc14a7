/** What the tests of the experts share: packed weights with their values, and the formulas in float64 with bounds. */
import { decodeBf16, decodeE4m3, encodeBf16 } from '@mariana/core';
import type { ExpertsConfig } from './experts-decode.ts';
import type { ExpertFormat } from './experts-weights.ts';
import { floats, U, uniform } from './kernel-test-kit.ts';

/** The matrices of some experts as the kernels read them, and what they are worth: [experts * out, inputs]. */
export interface PackedExperts {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly values: Float64Array;
}

/** Matrices of any numbers, packed as `packed-weight.ts` and `held-format.ts` have it, from the formats' definitions. */
export function packedExperts(
  weights: ExpertFormat,
  experts: number,
  out: number,
  inputs: number,
  seed: number,
): PackedExperts {
  const { format } = weights;
  const [blockRows, blockInputs] = weights.scaleBlock;
  const next = uniform(seed);
  const rows = experts * out;
  const bits = { f32: 32, bf16: 16, fp8: 8, int8: 8, int4: 4 }[format];
  const rowBytes = Math.ceil((inputs * bits) / 128) * 16;
  const codes = new Uint8Array(rows * rowBytes).fill(format === 'int4' ? 0x88 : 0);
  const view = new DataView(codes.buffer);
  const perRow = blockInputs === 0 ? 0 : Math.ceil(inputs / blockInputs);
  const scaleRows = experts * Math.ceil(out / blockRows);
  const scales = floats(Math.max(experts, scaleRows * perRow), uniform(seed + 1, 0.001, 0.02));
  const values = new Float64Array(rows * inputs);
  for (let row = 0; row < rows; row++) {
    const [expert, own] = [Math.floor(row / out), row % out];
    const scaleRow = expert * Math.ceil(out / blockRows) + Math.floor(own / blockRows);
    for (let i = 0; i < inputs; i++) {
      const random = next();
      const byte = Math.floor((random + 1) * 128);
      const at = row * rowBytes + Math.floor((i * bits) / 8);
      const scale = blockInputs === 0 ? 1 : scales[scaleRow * perRow + Math.floor(i / blockInputs)]!;
      values[row * inputs + i] = put(at, random, byte, i % 2 === 1) * scale;
    }
  }
  return { codes, scales, values };

  /** Writes a number of this format, and says which it is. */
  function put(at: number, random: number, byte: number, isHigh: boolean): number {
    if (format === 'f32') {
      view.setFloat32(at, random, true);
      return Math.fround(random);
    }
    if (format === 'bf16') {
      view.setUint16(at, encodeBf16(random), true);
      return decodeBf16(encodeBf16(random));
    }
    if (format === 'int4') {
      codes[at] = isHigh ? (codes[at]! & 0x0f) | ((byte & 15) << 4) : (codes[at]! & 0xf0) | (byte & 15);
      return (byte & 15) - 8;
    }
    const code = format === 'fp8' && (byte & 0x7f) === 0x7f ? 0 : byte; // no NaN
    codes[at] = code;
    return format === 'fp8' ? decodeE4m3(code) : (code << 24) >> 24;
  }
}

/** Numbers with a bound on the error of each. */
export interface Bounded {
  readonly values: number[];
  readonly bounds: number[];
}

/** Row products: matrix rows `from` to `from + out` with x, where each x may be off by its bound. */
function product(matrix: Float64Array, from: number, out: number, x: Bounded): Bounded {
  const inputs = x.values.length;
  const [values, bounds]: [number[], number[]] = [[], []];
  for (let row = from; row < from + out; row++) {
    let [sum, magnitudes, inherited] = [0, 0, 0];
    for (let i = 0; i < inputs; i++) {
      const w = matrix[row * inputs + i]!;
      sum += w * x.values[i]!;
      magnitudes += Math.abs(w) * (Math.abs(x.values[i]!) + x.bounds[i]!);
      inherited += Math.abs(w) * x.bounds[i]!;
    }
    values.push(sum);
    bounds.push((inputs + 3) * U * magnitudes + inherited);
  }
  return { values, bounds };
}

/** silu(gate) * up. The slope of silu is at most 1.1; `exp` errs by 3 + 2 |x| ulps of 2u, the rest by ten u at most. */
function swiglu(gate: Bounded, up: Bounded): Bounded {
  const silu = gate.values.map((g) => g / (1 + Math.exp(-g)));
  const ofSilu = silu.map((s, i) => {
    const g = gate.values[i]!;
    return 1.1 * gate.bounds[i]! + Math.abs(s) * U * (10 + (g < 0 ? 2 * (3 + 2 * Math.abs(g)) : 6));
  });
  return {
    values: silu.map((s, i) => s * up.values[i]!),
    bounds: silu.map(
      (s, i) => ofSilu[i]! * (Math.abs(up.values[i]!) + up.bounds[i]!) + Math.abs(s) * up.bounds[i]! + 2 ** -126,
    ),
  };
}

export interface Layer {
  readonly config: ExpertsConfig;
  readonly experts: number;
  readonly gate: PackedExperts;
  readonly up: PackedExperts;
  readonly down: PackedExperts;
}

export function layerOf(config: ExpertsConfig, experts: number, seed: number): Layer {
  const { weights, hidden, width } = config;
  return {
    config,
    experts,
    gate: packedExperts(weights, experts, width, hidden, seed),
    up: packedExperts(weights, experts, width, hidden, seed + 10),
    down: packedExperts(weights, experts, hidden, width, seed + 20),
  };
}

export interface Routed {
  readonly x: Float32Array;
  readonly indices: Int32Array;
  readonly weights: Float32Array;
  readonly perToken: number;
}

/** Tokens of any values, each sent to distinct experts. */
export function routed(tokens: number, perToken: number, { config, experts }: Layer, seed: number): Routed {
  const next = uniform(seed);
  const chosen = Array.from({ length: tokens }, () => {
    const order = Array.from({ length: experts }, (_, e) => ({ e, key: next() })).sort((a, b) => a.key - b.key);
    return order.slice(0, perToken).map(({ e }) => e);
  });
  return {
    x: floats(tokens * config.hidden, next),
    indices: Int32Array.from(chosen.flat()),
    weights: floats(tokens * perToken, next),
    perToken,
  };
}

/** What the experts should make of the tokens, added to `base`, where each x may be off by `error` of itself. */
export function expectedOf(
  { config, experts, gate, up, down }: Layer,
  { x, indices, weights, perToken }: Routed,
  base: ArrayLike<number> | null,
  error = 0,
): Bounded {
  const { hidden, width } = config;
  const tokens = indices.length / perToken;
  const [values, bounds]: [number[], number[]] = [[], []];
  for (let t = 0; t < tokens; t++) {
    const own = Array.from(x.subarray(t * hidden, (t + 1) * hidden));
    const given = { values: own, bounds: own.map((value) => Math.abs(value) * error) };
    const sum = Array.from({ length: hidden }, (_, i) => base?.[t * hidden + i] ?? 0);
    const bound = sum.map((b) => Math.abs(b) * U * (perToken + 2) + 2 ** -126);
    for (let s = t * perToken; s < (t + 1) * perToken; s++) {
      const expert = indices[s]!;
      if (expert < 0 || expert >= experts) continue;
      const inner = swiglu(
        product(gate.values, expert * width, width, given),
        product(up.values, expert * width, width, given),
      );
      // Sums of several experts may be made as one: as many terms more.
      const one = product(down.values, expert * hidden, hidden, inner);
      const more = inner.values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      for (let i = 0; i < hidden; i++) {
        const magnitudes = down.values
          .subarray((expert * hidden + i) * width, (expert * hidden + i + 1) * width)
          .reduce((total, w) => total + Math.abs(w) * more, 0);
        sum[i]! += weights[s]! * one.values[i]!;
        bound[i]! += Math.abs(weights[s]!) * (one.bounds[i]! + (perToken * width + 4) * U * magnitudes);
      }
    }
    values.push(...sum);
    bounds.push(...bound);
  }
  return { values, bounds };
}
