/** Composites that work row by row: norm, rotation, gate, softmax. */
import { checkDtype, checkRmsNorm, checkSwiglu, MarianaError, type Tensor } from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import * as kernels from '../wasm/index.ts';

export function rmsNorm(backend: CpuBackend, x: Tensor, weight: Tensor, epsilon: number): Tensor {
  checkRmsNorm(x, weight);
  const width = x.shape.at(-1)!;
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

export function swiglu(backend: CpuBackend, gate: Tensor, up: Tensor): Tensor {
  checkSwiglu(gate, up);
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
