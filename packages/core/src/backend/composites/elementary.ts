/** Default bodies of the small composites: norm, rotation, gate, softmax. Each is its formula in primitives. */
import { MarianaError } from '../../errors.ts';
import type { Backend } from '../backend.ts';
import { scalar } from '../scalar.ts';
import { checkRmsNorm, checkSwiglu } from '../shapes.ts';
import type { Tensor } from '../tensor.ts';

/** x * rsqrt(mean(x^2) + epsilon) * weight, over the last axis. */
export function rmsNorm(backend: Backend, x: Tensor, weight: Tensor, epsilon: number): Tensor {
  checkRmsNorm(x, weight);
  return backend.scope(() => {
    const width = x.shape.at(-1) ?? 0;
    const squares = backend.reduce('sum', backend.binary('mul', x, x), -1, { keepDims: true });
    const mean = backend.binary('div', squares, scalar(backend, width));
    const inverse = backend.unary('rsqrt', backend.binary('add', mean, scalar(backend, epsilon)));
    return backend.binary('mul', backend.binary('mul', x, inverse), weight);
  });
}

/** (a, b) at (2i, 2i + 1) becomes (a cos - b sin, a sin + b cos). */
export function rotary(backend: Backend, x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const [tokens, heads, width] = x.shape;
  if (tokens === undefined || heads === undefined || width === undefined || x.rank !== 3 || width % 2 !== 0) {
    throw new MarianaError('SHAPE_MISMATCH', `rotary: takes [tokens, heads, even width], not a ${x}`);
  }
  return backend.scope(() => {
    const half = width / 2;
    const pairs = backend.reshape(x, [tokens, heads, half, 2]);
    const even = backend.slice(pairs, 3, 0, 1);
    const odd = backend.slice(pairs, 3, 1, 2);
    const c = backend.reshape(cos, [tokens, 1, half, 1]);
    const s = backend.reshape(sin, [tokens, 1, half, 1]);
    const mul = (a: Tensor, b: Tensor) => backend.binary('mul', a, b);
    const rotated = backend.concat(
      [backend.binary('sub', mul(even, c), mul(odd, s)), backend.binary('add', mul(even, s), mul(odd, c))],
      3,
    );
    return backend.reshape(rotated, x.shape);
  });
}

/** silu(gate) * up. */
export function swiglu(backend: Backend, gate: Tensor, up: Tensor): Tensor {
  checkSwiglu(gate, up);
  return backend.scope(() => {
    const silu = backend.binary('mul', gate, backend.unary('sigmoid', gate));
    return backend.binary('mul', silu, up);
  });
}

/** exp(x - max) / sum(exp(x - max)), over the last axis. */
export function softmax(backend: Backend, x: Tensor): Tensor {
  return backend.scope(() => {
    const max = backend.reduce('max', x, -1, { keepDims: true });
    const exp = backend.unary('exp', backend.binary('sub', x, max));
    return backend.binary('div', exp, backend.reduce('sum', exp, -1, { keepDims: true }));
  });
}
