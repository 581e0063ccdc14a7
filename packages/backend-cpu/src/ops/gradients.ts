/** Gradients of norm, gate and cross-entropy, each in one pass: the same numbers as the default bodies. */
import {
  type CrossEntropy,
  checkCrossEntropy,
  checkGradient,
  checkIndices,
  checkRmsNorm,
  checkSwiglu,
  crossEntropyOf,
  type RmsNormGradients,
  type SwigluGradients,
  sumRows,
  type Tensor,
} from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import * as kernels from '../wasm/index.ts';

export function swigluGradients(backend: CpuBackend, gradient: Tensor, gate: Tensor, up: Tensor): SwigluGradients {
  checkSwiglu(gate, up);
  checkGradient('swigluGradients', gradient, gate.shape);
  for (const tensor of [gradient, gate, up]) backend.pointer(tensor);
  const out = { gate: backend.output(gate.shape), up: backend.output(gate.shape) };
  const job = backend.engine.job();
  kernels.swigluGradients(job, {
    dy: backend.pointer(gradient),
    gate: backend.pointer(gate),
    up: backend.pointer(up),
    dGate: backend.pointer(out.gate),
    dUp: backend.pointer(out.up),
    n: gate.size,
  });
  job.run();
  return out;
}

export function rmsNormGradients(
  backend: CpuBackend,
  gradient: Tensor,
  x: Tensor,
  weight: Tensor,
  epsilon: number,
): RmsNormGradients {
  checkRmsNorm(x, weight);
  checkGradient('rmsNormGradients', gradient, x.shape);
  for (const tensor of [gradient, x, weight]) backend.pointer(tensor);
  return backend.scope(() => {
    const width = weight.size;
    const [dx, product] = [backend.output(x.shape), backend.output(x.shape)];
    const job = backend.engine.job();
    kernels.rmsNormGradients(job, {
      dy: backend.pointer(gradient),
      x: backend.pointer(x),
      weight: backend.pointer(weight),
      dx: backend.pointer(dx),
      product: backend.pointer(product),
      rows: width === 0 ? 0 : x.size / width,
      width,
      epsilon,
    });
    job.run();
    return { x: dx, weight: sumRows(backend, product) };
  });
}

export function crossEntropy(backend: CpuBackend, logits: Tensor, targets: Tensor): CrossEntropy {
  const { rows, width } = checkCrossEntropy(logits, targets);
  backend.pointer(logits);
  backend.pointer(targets);
  return backend.scope(() => {
    const [tops, sums] = [backend.output([rows]), backend.output([rows])];
    const job = backend.engine.job();
    kernels.sumExponentials(job, {
      x: backend.pointer(logits),
      tops: backend.pointer(tops),
      sums: backend.pointer(sums),
      rows,
      width,
    });
    job.run();
    return crossEntropyOf(backend, logits, targets, tops, sums);
  });
}

export function crossEntropyGradients(
  backend: CpuBackend,
  gradient: Tensor,
  logits: Tensor,
  targets: Tensor,
  normalizers: Tensor,
): Tensor {
  const { rows, width } = checkCrossEntropy(logits, targets);
  checkGradient('crossEntropyGradients', gradient, [rows]);
  checkGradient('crossEntropyGradients', normalizers, [rows]);
  for (const tensor of [gradient, logits, normalizers]) backend.pointer(tensor);
  checkIndices('crossEntropyGradients', backend.view(targets) as Int32Array, width);
  const out = backend.output(logits.shape);
  const job = backend.engine.job();
  kernels.crossEntropyGradients(job, {
    dy: backend.pointer(gradient),
    x: backend.pointer(logits),
    norms: backend.pointer(normalizers),
    targets: backend.pointer(targets),
    dx: backend.pointer(out),
    rows,
    width,
  });
  job.run();
  return out;
}
