/** Products of a normed input, one and two side by side, in every held format, against the formulas in float64. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FORMAT_TEXTS, type HeldFormat } from './held-format.ts';
import { held } from './held-test-kit.ts';
import { floats, KernelBench, U, uniform, worst } from './kernel-test-kit.ts';
import { normedLinearKernel } from './normed-linear.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

const EPSILON = 1e-6;

describe.each(Object.keys(FORMAT_TEXTS) as HeldFormat[])('%s', (format) => {
  test.each([
    { tokens: 1, inputs: 132, rows: [70], normed: true },
    { tokens: 2, inputs: 36, rows: [5, 9], normed: true },
    { tokens: 3, inputs: 132, rows: [140, 3], normed: false },
  ])('$tokens tokens, $rows rows of $inputs, normed: $normed', async ({ tokens, inputs, rows, normed }) => {
    const x = floats(tokens * inputs, uniform(4, -3, 3));
    const norm = floats(inputs, uniform(5, 0.5, 2));
    const weights = rows.map((count, m) => held(format, count, inputs, 9 + m));
    const outputs = rows.map((count) => bench.empty(tokens * count * 4));
    const buffers: Record<string, GPUBuffer> = { x: bench.buffer(x), ...(normed && { norm: bench.buffer(norm) }) };
    const uniforms: Record<string, number> = {
      ...{ tokens, inputs, epsilon: EPSILON, scale_rows: 1, scale_columns: 0, scale_vectors: 1 },
      ...weights[0]!.uniforms,
    };
    for (const [m, { codes, scales }] of weights.entries()) {
      buffers[`codes${m}`] = bench.buffer(codes);
      if (scales !== undefined) buffers[`scales${m}`] = bench.buffer(scales);
      buffers[`y${m}`] = outputs[m]!;
      Object.assign(uniforms, { [`rows${m}`]: rows[m], [`code_row${m}`]: 0, [`scale_row${m}`]: 0 });
    }
    const matrices = rows.length as 1 | 2;
    const kernel = normedLinearKernel({ format, tokens: tokens === 3 ? 4 : (tokens as 1 | 2), matrices, normed });
    // With a uniform buffer, as many bindings as every device has.
    expect(kernel.bindings.length).toBeLessThanOrEqual(8);
    await bench.run(kernel, { shape: { rows }, buffers, uniforms });

    for (const [m, { values }] of weights.entries()) {
      const [expected, bounds]: [number[], number[]] = [[], []];
      for (let t = 0; t < tokens; t++) {
        const row = Array.from(x.subarray(t * inputs, (t + 1) * inputs));
        const inverse = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / inputs + EPSILON);
        const given = normed ? row.map((value, i) => value * inverse * norm[i]!) : row;
        for (let r = 0; r < rows[m]!; r++) {
          const products = given.map((value, i) => value * values[r * inputs + i]!);
          expected.push(products.reduce((sum, product) => sum + product, 0));
          const magnitude = products.reduce((sum, product) => sum + Math.abs(product), 0);
          bounds.push((inputs + 5 + (normed ? inputs / 2 + 8 : 0)) * U * magnitude);
        }
      }
      expect(worst(await bench.floats(outputs[m]!), expected, (i) => bounds[i]!)).toBeLessThan(1);
    }
  });
});
