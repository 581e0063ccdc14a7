/** Products of groups of rows: one segment of one job for each group, so that many small ones keep all threads busy. */
import { type MatmulGroupsOptions, matmulGroupsShape, matmulWithinGroupsShape, type Tensor } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import { gemm } from '../wasm/index.ts';

/** Null where the inner size is 0: the default body then does its work. */
export function matmulGroups(
  backend: CpuBackend,
  x: Tensor,
  counts: readonly number[],
  weights: readonly Tensor[],
  options: MatmulGroupsOptions = {},
): Tensor | null {
  const { groups, width } = matmulGroupsShape(x, counts, weights, options);
  const [rows, inner] = x.shape as [number, number];
  if (inner === 0) return null;
  backend.pointer(x);
  for (const weight of weights) backend.pointer(weight);
  const out = backend.output([rows, width]);
  const [from, to] = [backend.pointer(x), backend.pointer(out)];
  const job = backend.engine.job();
  for (const [i, { first, end }] of groups.entries()) {
    gemm(job, {
      a: from + 4 * first * inner,
      b: backend.pointer(weights[i]!),
      c: to + 4 * first * width,
      m: end - first,
      n: width,
      k: inner,
      transposeB: options.transposeB,
    });
  }
  job.run();
  return out;
}

export function matmulWithinGroups(backend: CpuBackend, a: Tensor, b: Tensor, counts: readonly number[]): Tensor[] {
  const groups = matmulWithinGroupsShape(a, b, counts);
  const [m, n] = [a.shape[1]!, b.shape[1]!];
  backend.pointer(a);
  backend.pointer(b);
  const products = groups.map(({ first, end }) =>
    first === end ? backend.upload(new Float32Array(m * n), [m, n]) : backend.output([m, n]),
  );
  const [left, right] = [backend.pointer(a), backend.pointer(b)];
  const job = backend.engine.job();
  for (const [i, { first, end }] of groups.entries()) {
    if (first === end) continue;
    gemm(job, {
      a: left + 4 * first * m,
      b: right + 4 * first * n,
      c: backend.pointer(products[i]!),
      m,
      n,
      k: end - first,
      transposeA: true,
    });
  }
  job.run();
  return products;
}
