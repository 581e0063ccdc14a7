/**
 * Gradients of the small composites. Each keeps its operands and computes the rest anew on the way back, as DeepSeek-V3's
 * training does for norms and SwiGLU (report, section 3.2.3): a norm in primitives would keep four tensors of its size.
 */
import { type Backend, scalar, type Tensor } from '@mariana/core';
import type { RecordingBackend } from '../recording-backend.ts';
import { sumTo } from '../shapes.ts';

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

/** With n = x r, r = 1 / sqrt(mean(x^2) + epsilon) and y = n w: dw = sum(dy n), dx = r (dy w - n mean(dy w n)). */
export function rmsNorm(backend: RecordingBackend, x: Tensor, weight: Tensor, epsilon: number): Tensor {
  return backend.custom('rmsNorm', [x, weight], (inner, [input, scale]) => ({
    output: inner.rmsNorm(input!, scale!, epsilon),
    saved: [input!, scale!],
    backward(dy, [savedInput, savedScale], [needsInput, needsWeight]) {
      const mul = (a: Tensor, b: Tensor) => inner.binary('mul', a, b);
      const width = scalar(inner, savedInput!.shape.at(-1) ?? 0);
      const mean = (values: Tensor) => inner.binary('div', inner.reduce('sum', values, -1, { keepDims: true }), width);
      const power = inner.binary('add', mean(mul(savedInput!, savedInput!)), scalar(inner, epsilon));
      const inverse = inner.unary('rsqrt', power);
      const normed = mul(savedInput!, inverse);
      const product = mul(dy, normed);
      const dw = needsWeight ? sumTo(inner, product, savedScale!.shape) : undefined;
      if (!needsInput) return [undefined, dw];
      const along = mul(normed, mean(mul(product, savedScale!)));
      return [mul(inverse, inner.binary('sub', mul(dy, savedScale!), along)), dw];
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

/** With s = sigmoid(gate): d up = dy gate s, d gate = dy up (s + gate s (1 - s)). */
export function swiglu(backend: RecordingBackend, gate: Tensor, up: Tensor): Tensor {
  return backend.custom('swiglu', [gate, up], (inner, [g, u]) => ({
    output: inner.swiglu(g!, u!),
    saved: [g!, u!],
    backward(dy, [savedGate, savedUp], [needsGate, needsUp]) {
      const mul = (a: Tensor, b: Tensor) => inner.binary('mul', a, b);
      const s = inner.unary('sigmoid', savedGate!);
      const silu = mul(savedGate!, s);
      const slope = () => inner.binary('add', s, inner.binary('sub', silu, mul(silu, s)));
      return [needsGate ? mul(mul(dy, savedUp!), slope()) : undefined, needsUp ? mul(dy, silu) : undefined];
    },
  }));
}
