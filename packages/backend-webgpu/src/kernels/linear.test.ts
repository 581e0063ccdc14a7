/** Products with weights in every held format, for few tokens and many, with one matrix and one for each group. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FORMAT_TEXTS, type HeldFormat } from './held-format.ts';
import { held } from './held-test-kit.ts';
import { floats, KernelBench, U, uniform, worst } from './kernel-test-kit.ts';
import { fewTokensKernel, manyTokensKernel } from './linear.ts';
import { weightRowsKernel } from './weight-rows.ts';

let bench: KernelBench;
beforeAll(async () => {
  bench = await KernelBench.open();
});
afterAll(() => bench?.close());

describe.each(Object.keys(FORMAT_TEXTS) as HeldFormat[])('%s', (format) => {
  test.each([
    [1, 70, 132, 1],
    [2, 70, 134, 1],
    [4, 9, 36, 1],
    [33, 70, 132, 1],
    [40, 34, 38, 1],
    [1, 24, 36, 3],
    [3, 15, 38, 5],
    [35, 24, 36, 3],
  ])('%d tokens, [%d, %d], %d groups', async (tokens, rows, inputs, groups) => {
    const w = held(format, rows, inputs);
    const x = floats(tokens * groups * inputs, uniform(4));
    const y = bench.empty(tokens * rows * 4);
    const options = { format, aligned: inputs % 4 === 0 };
    const groupRows = rows / groups;
    const kernel =
      tokens <= 4
        ? fewTokensKernel({
            ...options,
            tokens: tokens === 1 ? 1 : tokens === 2 ? 2 : 4,
            together: groups === 1 || groupRows % 4 === 0 ? 4 : 1,
          })
        : manyTokensKernel(options);
    await bench.run(kernel, {
      shape: { tokens, rows, groups },
      buffers: {
        x: bench.buffer(x),
        codes: bench.buffer(w.codes),
        y,
        ...(w.scales === undefined ? {} : { scales: bench.buffer(w.scales) }),
      },
      uniforms: {
        scale_rows: 1,
        scale_columns: 0,
        scale_vectors: 1,
        ...w.uniforms,
        tokens,
        inputs,
        rows,
        code_row: 0,
        scale_row: 0,
        y_row: 0,
        y_width: rows,
        groups,
        group_rows: groupRows,
      },
    });
    const [expected, magnitudes]: [number[], number[]] = [[], []];
    for (let i = 0; i < tokens * rows; i++) {
      const [t, row] = [Math.floor(i / rows), i % rows];
      const start = (t * groups + Math.floor(row / groupRows)) * inputs;
      let [sum, magnitude] = [0, 0];
      for (let k = 0; k < inputs; k++) {
        const product = x[start + k]! * w.values[row * inputs + k]!;
        sum += product;
        magnitude += Math.abs(product);
      }
      expected.push(sum);
      magnitudes.push(magnitude);
    }
    expect(worst(await bench.floats(y), expected, (i) => (inputs + 4) * U * magnitudes[i]!)).toBeLessThan(1);
  });

  test('rows are decoded exactly: all of them, and those of some ids', async () => {
    const [rows, inputs] = [140, 133];
    const w = held(format, rows, inputs);
    const vectors = w.uniforms.vectors;
    const buffers = {
      codes: bench.buffer(w.codes),
      ...(w.scales === undefined ? {} : { scales: bench.buffer(w.scales) }),
    };
    const uniforms = {
      scale_rows: 1,
      scale_columns: 0,
      scale_vectors: 1,
      ...w.uniforms,
      inputs,
      rows,
      first_row: 0,
      code_row: 0,
      scale_row: 0,
    };
    const all = bench.empty(rows * inputs * 4);
    const size = rows * vectors;
    await bench.run(weightRowsKernel(format, false), {
      shape: { size },
      buffers: { ...buffers, y: all },
      uniforms: { ...uniforms, size },
    });
    expect(await bench.floats(all)).toEqual(w.values);
    const ids = Int32Array.of(139, 0, 131);
    const some = bench.empty(ids.length * inputs * 4);
    await bench.run(weightRowsKernel(format, true), {
      shape: { size: ids.length * vectors },
      buffers: { ...buffers, ids: bench.buffer(ids), y: some },
      uniforms: { ...uniforms, size: ids.length * vectors },
    });
    const expected = Float32Array.from([...ids].flatMap((id) => [...w.values.slice(id * inputs, (id + 1) * inputs)]));
    expect(await bench.floats(some)).toEqual(expected);
  });
});
