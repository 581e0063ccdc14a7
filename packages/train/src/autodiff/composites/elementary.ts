/**
 * Gradients of the small composites. Each keeps its operands and computes the rest anew on the way back, as DeepSeek-V3's
 * training does for norms and SwiGLU (report, section 3.2.3): a norm in primitives would keep four tensors of its size.
 */
import type { Backend, Tensor } from '@mariana/core';
import type { RecordingBackend } from '../recording-backend.ts';

/** dx = y (dy - sum(dy y)). */
export function softmax(backend: RecordingBackend, x: Tensor): Tensor {
  return backend.custom('softmax', [x], (inner, [input]) => {
    const output = inner.softmax(input!);
    return { output, saved: [output], backward: (dy, [y]) => [softmaxGradient(inner, dy, y!)] };
  });
}

function softmaxGradient(backend: Backend, dy: Tensor, y: Tensor): Tensor {
  const weighted = backend.binary('mul', dy, y);
  const sum = backend.reduce('sum', weighted, -1, { keepDims: true });
  return backend.binary('sub', weighted, backend.binary('mul', y, sum));
}

export function rmsNorm(backend: RecordingBackend, x: Tensor, weight: Tensor, epsilon: number): Tensor {
  return backend.custom('rmsNorm', [x, weight], (inner, [input, scale]) => ({
    output: inner.rmsNorm(input!, scale!, epsilon),
    saved: [input!, scale!],
    backward(dy, [savedInput, savedScale]) {
      const gradients = inner.rmsNormGradients(dy, savedInput!, savedScale!, epsilon);
      return [gradients.x, gradients.weight];
    },
  }));
}

/** The rotation turned back. */
export function rotary(backend: RecordingBackend, x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  return backend.custom('rotary', [x, cos, sin], (inner, [input, c, s]) => ({
    output: inner.rotary(input!, c!, s!),
    saved: [c!, s!],
    backward: (dy, [savedCos, savedSin]) => [inner.rotary(dy, savedCos!, inner.unary('neg', savedSin!))],
  }));
}

export function swiglu(backend: RecordingBackend, gate: Tensor, up: Tensor): Tensor {
  return backend.custom('swiglu', [gate, up], (inner, [g, u]) => ({
    output: inner.swiglu(g!, u!),
    saved: [g!, u!],
    backward(dy, [savedGate, savedUp]) {
      const gradients = inner.swigluGradients(dy, savedGate!, savedUp!);
      return [gradients.gate, gradients.up];
    },
  }));
}
