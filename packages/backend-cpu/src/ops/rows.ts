/** Composites that work row by row: norm, rotation, gate, softmax. */
import { checkDtype, MarianaError, type Tensor } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import * as kernels from '../wasm/index.ts';

export function rmsNorm(backend: CpuBackend, x: Tensor, weight: Tensor, epsilon: number): Tensor {
  checkDtype('rmsNorm', x, 'f32');
  checkDtype('rmsNorm', weight, 'f32');
  const width = x.shape.at(-1) ?? 0;
  if (weight.rank !== 1 || weight.size !== width) {
    throw new MarianaError('SHAPE_MISMATCH', `rmsNorm: ${weight} does not fit the last axis of ${x}`);
  }
  backend.pointer(x);
  backend.pointer(weight);
  const y = backend.output(x.shape);
  const job = backend.engine.job();
  kernels.rmsNorm(job, {
    x: backend.pointer(x),
    y: backend.pointer(y),
    weight: backend.pointer(weight),
    tokens: rows(x, width),
    width,
    epsilon,
  });
  job.run();
  return y;
}

export function rotary(backend: CpuBackend, x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const [tokens, heads, dim] = x.shape;
  if (tokens === undefined || heads === undefined || dim === undefined || x.rank !== 3 || dim % 2 !== 0) {
    throw new MarianaError('SHAPE_MISMATCH', `rotary: takes [tokens, heads, even width], not a ${x}`);
  }
  for (const table of [cos, sin]) {
    checkDtype('rotary', table, 'f32');
    if (table.rank !== 2 || table.shape[0] !== tokens || table.shape[1] !== dim / 2) {
      throw new MarianaError('SHAPE_MISMATCH', `rotary: table ${table} does not fit ${x}`);
    }
    backend.pointer(table);
  }
  checkDtype('rotary', x, 'f32');
  backend.pointer(x);
  const y = backend.output(x.shape);
  const job = backend.engine.job();
  kernels.rotary(job, {
    x: backend.pointer(x),
    y: backend.pointer(y),
    tokens: heads * dim === 0 ? 0 : tokens,
    heads,
    dim,
    cos: backend.pointer(cos),
    sin: backend.pointer(sin),
  });
  job.run();
  return y;
}

/** Null if the shapes differ: the default body broadcasts. */
export function swiglu(backend: CpuBackend, gate: Tensor, up: Tensor): Tensor | null {
  if (gate.rank !== up.rank || gate.shape.some((size, axis) => size !== up.shape[axis])) return null;
  checkDtype('swiglu', gate, 'f32');
  checkDtype('swiglu', up, 'f32');
  backend.pointer(gate);
  backend.pointer(up);
  const y = backend.output(gate.shape);
  const width = gate.shape.at(-1) ?? 1;
  const job = backend.engine.job();
  kernels.swiglu(job, {
    gate: backend.pointer(gate),
    up: backend.pointer(up),
    y: backend.pointer(y),
    tokens: rows(gate, width),
    width,
  });
  job.run();
  return y;
}

export function softmax(backend: CpuBackend, x: Tensor): Tensor {
  checkDtype('softmax', x, 'f32');
  const width = x.shape.at(-1);
  if (width === undefined) throw new MarianaError('SHAPE_MISMATCH', 'softmax: a scalar has no axis to normalise over');
  backend.pointer(x);
  const y = backend.output(x.shape);
  const job = backend.engine.job();
  kernels.softmax(job, { x: backend.pointer(x), y: backend.pointer(y), tokens: rows(x, width), width });
  job.run();
  return y;
}

function rows(x: Tensor, width: number): number {
  return width === 0 ? 0 : x.size / width;
}
