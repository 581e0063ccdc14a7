/** Mariana's matrix-vector products, x [1, cols] by a weight [rows, cols], through the backend. Argument: the format. */
import { canWidenVectors, cpu } from '@mariana/backend-cpu';
import { MemorySource, viewAsBytes } from '@mariana/core';
import { serve } from '../serve.ts';
import { type ProductRequest, randomNumbers, repeat } from './products.ts';

const weights = (process.argv[2] ?? 'f32') as 'f32' | 'int8';
const started = performance.now();
const backend = await cpu({ weights, threads: 1, wideVectors: canWidenVectors() });

async function product({ rows, cols, ms }: ProductRequest) {
  const name = `${rows} x ${cols}`;
  const values = new MemorySource(viewAsBytes(randomNumbers(rows * cols)), name);
  using weight = await backend.loadWeight({ name, format: 'f32', shape: [rows, cols], values });
  using x = backend.upload(randomNumbers(cols), [1, cols]);
  return await repeat(async () => {
    using y = backend.linear(x, weight);
    await y.floats();
  }, ms);
}

await serve(
  { loadMs: performance.now() - started, about: `Mariana, ${backend.engine.kernels.build} kernels` },
  { product },
);
await backend.dispose();
