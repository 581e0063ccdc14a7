/** Into the latent space and out of it, against the formulas in float64. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packedExperts } from './experts-test-kit.ts';
import type { ExpertFormat } from './experts-weights.ts';
import { floats, KernelBench, U, uniform, worst } from './kernel-test-kit.ts';
import { latentFoldKernel } from './latent-attention-fold.ts';
import { latentUnfoldKernel } from './latent-attention-unfold.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

const F32: ExpertFormat = { format: 'f32', scaleBlock: [1, 0] };
const INT8: ExpertFormat = { format: 'int8', scaleBlock: [1, 32] };

/** Buffers of a matrix under its name. */
function matrixBuffers(
  name: string,
  { codes, scales }: ReturnType<typeof packedExperts>,
  { scaleBlock }: ExpertFormat,
) {
  return { [name]: bench.buffer(codes), ...(scaleBlock[1] === 0 ? {} : { [`${name}_scales`]: bench.buffer(scales) }) };
}

/** Row products in float64: the sum, and the sum of magnitudes. */
function product(matrix: Float64Array, row: number, x: ArrayLike<number>) {
  let [sum, magnitudes] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    const term = matrix[row * x.length + i]! * x[i]!;
    sum += term;
    magnitudes += Math.abs(term);
  }
  return { sum, magnitudes };
}

describe('folds queries and rotates them', () => {
  test.each([
    { nope: 128, rope: 64, latent: 512, weights: INT8 },
    { nope: 7, rope: 6, latent: 37, weights: F32 },
  ])('$nope + $rope to $latent, $weights.format', async ({ nope, rope, latent, weights }) => {
    const [tokens, heads] = [2, 3];
    const matrix = packedExperts(weights, 1, heads * latent, nope, 1);
    const query = floats(tokens * heads * (nope + rope), uniform(2));
    const angles = floats((tokens * rope) / 2, uniform(3, -3, 3));
    const [cosines, sines] = [angles.map(Math.cos), angles.map(Math.sin)];
    const folded = bench.empty(tokens * heads * (latent + rope) * 4);
    await bench.run(latentFoldKernel({ nope, rope, latent, weights }), {
      shape: { tokens, heads },
      buffers: {
        query: bench.buffer(query),
        ...matrixBuffers('key', matrix, weights),
        cosines: bench.buffer(cosines),
        sines: bench.buffer(sines),
        folded,
      },
      uniforms: { heads },
    });
    const [want, bounds]: number[][] = [[], []];
    for (let at = 0; at < tokens * heads; at++) {
      const [t, head] = [Math.floor(at / heads), at % heads];
      const row = query.subarray(at * (nope + rope), (at + 1) * (nope + rope));
      for (let i = 0; i < latent; i++) {
        const { sum, magnitudes } = product(matrix.values, head * latent + i, row.subarray(0, nope));
        want!.push(sum);
        bounds!.push((nope + 2) * U * magnitudes + 2 ** -126);
      }
      for (let i = 0; i < rope / 2; i++) {
        const [a, b] = [row[nope + 2 * i]!, row[nope + 2 * i + 1]!];
        const [c, s] = [cosines[(t * rope) / 2 + i]!, sines[(t * rope) / 2 + i]!];
        want!.push(a * c - b * s, a * s + b * c);
        bounds!.push(2 * U * (Math.abs(a * c) + Math.abs(b * s)), 2 * U * (Math.abs(a * s) + Math.abs(b * c)));
      }
    }
    expect(worst(await bench.floats(folded), want!, (i) => bounds![i]!)).toBeLessThanOrEqual(1);
  });
});

describe('puts splits together and unfolds them', () => {
  test.each([
    { latent: 512, value: 128, splits: 3, weights: INT8 },
    { latent: 21, value: 70, splits: 1, weights: F32 },
  ])('$splits splits of $latent to $value, $weights.format', async ({ latent, value, splits, weights }) => {
    const [tokens, heads] = [2, 3];
    const rows = tokens * heads;
    const matrix = packedExperts(weights, 1, heads * value, latent, 4);
    const partial = floats(splits * rows * latent, uniform(5));
    // Maxima of 0 to -4, denominators around 1; the last split saw no key, if there are several.
    const stats = floats(splits * rows * 2, uniform(6, 0.5, 2)).map((x, i) => (i % 2 === 0 ? -2 * x : x));
    if (splits > 1) {
      partial.fill(0, (splits - 1) * rows * latent);
      for (let i = (splits - 1) * rows * 2; i < stats.length; i += 2) stats.set([-1e38, 0], i);
    }
    const result = bench.empty(rows * value * 4);
    await bench.run(latentUnfoldKernel({ latent, value, weights }), {
      shape: { tokens, heads },
      buffers: {
        partial: bench.buffer(partial),
        stats: bench.buffer(stats),
        ...matrixBuffers('value', matrix, weights),
        result,
      },
      uniforms: { heads, rows, splits },
    });
    const absolute = matrix.values.map(Math.abs);
    const [want, bounds]: number[][] = [[], []];
    for (let row = 0; row < rows; row++) {
      const parts = Array.from({ length: splits }, (_, s) => s * rows + row);
      const most = Math.max(...parts.map((at) => stats[at * 2]!));
      const shares = parts.map((at) => Math.exp(stats[at * 2]! - most));
      const total = parts.reduce((sum, at, s) => sum + shares[s]! * stats[at * 2 + 1]!, 0);
      const mixed = (of: (x: number) => number) =>
        Array.from({ length: latent }, (_, i) =>
          parts.reduce((sum, at, s) => sum + (shares[s]! * of(partial[at * latent + i]!)) / total, 0),
        );
      const [x, sizes] = [mixed((p) => p), mixed(Math.abs)];
      for (let i = 0; i < value; i++) {
        const place = (row % heads) * value + i;
        want!.push(product(matrix.values, place, x).sum);
        // Exponentials of -4 to 0 err by 11 ulps of 2u at most, twice; sums and the division by ten u more.
        const { magnitudes } = product(absolute, place, sizes);
        bounds!.push((latent + 2 + 44 + 10) * U * magnitudes + 2 ** -126);
      }
    }
    expect(worst(await bench.floats(result), want!, (i) => bounds![i]!)).toBeLessThanOrEqual(1);
  });
});
