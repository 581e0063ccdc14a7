/**
 * Default bodies of the gradients of composites, in primitives. Each computes anew what the forward pass did not keep, as
 * DeepSeek-V3's training does for norms and SwiGLU (report, section 3.2.3).
 */
import { MarianaError } from '../../errors.ts';
import type { Backend } from '../backend.ts';
import type { CrossEntropy, RmsNormGradients, SwigluGradients } from '../operations.ts';
import { range, scalar } from '../scalar.ts';
import { checkDtype, checkRmsNorm, checkSwiglu } from '../shapes.ts';
import type { Shape, Tensor } from '../tensor.ts';

/** @throws MarianaError `SHAPE_MISMATCH`, `DTYPE_MISMATCH` for a gradient that is not of this shape */
export function checkGradient(operation: string, gradient: Tensor, shape: Shape): void {
  checkDtype(operation, gradient, 'f32');
  if (gradient.shape.join() === shape.join()) return;
  throw new MarianaError('SHAPE_MISMATCH', `${operation}: a ${gradient} is no gradient of shape [${shape.join(', ')}]`);
}

export function swigluGradients(backend: Backend, gradient: Tensor, gate: Tensor, up: Tensor): SwigluGradients {
  checkSwiglu(gate, up);
  checkGradient('swigluGradients', gradient, gate.shape);
  return backend.scope(() => {
    const mul = (a: Tensor, b: Tensor) => backend.binary('mul', a, b);
    const s = backend.unary('sigmoid', gate);
    const silu = mul(gate, s);
    const slope = backend.binary('add', s, backend.binary('sub', silu, mul(silu, s)));
    return { gate: mul(mul(gradient, up), slope), up: mul(gradient, silu) };
  });
}

export function rmsNormGradients(
  backend: Backend,
  gradient: Tensor,
  x: Tensor,
  weight: Tensor,
  epsilon: number,
): RmsNormGradients {
  checkRmsNorm(x, weight);
  checkGradient('rmsNormGradients', gradient, x.shape);
  return backend.scope(() => {
    const mul = (a: Tensor, b: Tensor) => backend.binary('mul', a, b);
    const width = scalar(backend, weight.size);
    const mean = (y: Tensor) => backend.binary('div', backend.reduce('sum', y, -1, { keepDims: true }), width);
    const inverse = backend.unary('rsqrt', backend.binary('add', mean(mul(x, x)), scalar(backend, epsilon)));
    const normed = mul(x, inverse);
    const product = mul(gradient, normed);
    const along = mul(normed, mean(mul(product, weight)));
    return {
      x: mul(inverse, backend.binary('sub', mul(gradient, weight), along)),
      weight: sumRows(backend, product),
    };
  });
}

/** The sum of all rows of the last axis. */
export function sumRows(backend: Backend, x: Tensor): Tensor {
  const width = x.shape.at(-1)!;
  return backend.reduce('sum', backend.reshape(x, [width === 0 ? 0 : x.size / width, width]), 0);
}

/** @throws MarianaError `SHAPE_MISMATCH`, `DTYPE_MISMATCH` */
export function checkCrossEntropy(logits: Tensor, targets: Tensor): { rows: number; width: number } {
  checkDtype('crossEntropy', logits, 'f32');
  checkDtype('crossEntropy', targets, 'i32');
  const [rows, width] = logits.shape;
  if (logits.rank !== 2 || targets.rank !== 1 || rows === undefined || width === undefined || targets.size !== rows) {
    throw new MarianaError('SHAPE_MISMATCH', `crossEntropy: targets ${targets} do not fit logits ${logits}`);
  }
  return { rows, width };
}

/** Where the targets stand in the logits when these are read as one row. */
function placesOf(backend: Backend, targets: Tensor, width: number): Tensor {
  return backend.binary('add', targets, range(backend, targets.size, width));
}

/** What is left of `crossEntropy` once the largest logit and the sum of exp(x - largest) of each row are known. */
export function crossEntropyOf(
  backend: Backend,
  logits: Tensor,
  targets: Tensor,
  tops: Tensor,
  sums: Tensor,
): CrossEntropy {
  const normalizers = backend.binary('add', backend.unary('log', sums), tops);
  const chosen = backend.gather(backend.reshape(logits, [logits.size]), placesOf(backend, targets, logits.shape[1]!));
  return { losses: backend.binary('sub', normalizers, chosen), normalizers };
}

export function crossEntropy(backend: Backend, logits: Tensor, targets: Tensor): CrossEntropy {
  const { rows } = checkCrossEntropy(logits, targets);
  return backend.scope(() => {
    const tops = backend.reduce('max', logits, -1);
    const exp = backend.unary('exp', backend.binary('sub', logits, backend.reshape(tops, [rows, 1])));
    return crossEntropyOf(backend, logits, targets, tops, backend.reduce('sum', exp, -1));
  });
}

export function crossEntropyGradients(
  backend: Backend,
  gradient: Tensor,
  logits: Tensor,
  targets: Tensor,
  normalizers: Tensor,
): Tensor {
  const { rows, width } = checkCrossEntropy(logits, targets);
  checkGradient('crossEntropyGradients', gradient, [rows]);
  checkGradient('crossEntropyGradients', normalizers, [rows]);
  return backend.scope(() => {
    const column = (x: Tensor) => backend.reshape(x, [rows, 1]);
    const probabilities = backend.unary('exp', backend.binary('sub', logits, column(normalizers)));
    const spread = backend.binary('mul', probabilities, column(gradient));
    const hits = backend.scatterAdd(placesOf(backend, targets, width), gradient, logits.size);
    return backend.binary('sub', spread, backend.reshape(hits, logits.shape));
  });
}
