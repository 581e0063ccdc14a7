/** Gradients of the matrix product, with its transposes and its broadcast leading axes. */
import { type Backend, type MatmulOptions, type Shape, sizeOf, type Tensor } from '@mariana/core';
import type { Rule, Save } from './elementwise-rules.ts';
import { sumTo } from './shapes.ts';

/** Gradient of `a` in A' B' = C, where A' and B' are the operands as the options read them: dA' = dC B'^T. */
export function matmulRuleA(
  backend: Backend,
  save: Save,
  a: Shape,
  b: Tensor,
  { transposeA = false, transposeB = false }: MatmulOptions,
): Rule {
  const saved = save(b);
  return (gradient) => {
    const product = transposeA
      ? backend.matmul(saved, gradient, { transposeA: transposeB, transposeB: true })
      : backend.matmul(gradient, saved, { transposeB: !transposeB });
    return sumTo(backend, product, a);
  };
}

/** Gradient of `b`: dB' = A'^T dC. */
export function matmulRuleB(
  backend: Backend,
  save: Save,
  a: Tensor,
  b: Shape,
  { transposeA = false, transposeB = false }: MatmulOptions,
): Rule {
  const saved = save(a);
  return (gradient) => {
    const [left, right] = transposeA ? [saved, gradient] : mergeRows(backend, saved, gradient, b);
    const product = transposeB
      ? backend.matmul(right, left, { transposeA: true, transposeB: transposeA })
      : backend.matmul(left, right, { transposeA: !transposeA });
    return sumTo(backend, product, b);
  };
}

/**
 * Where one matrix `b` served every leading index of `a`, its gradient is a sum of products over them: the same as one
 * product over all rows, which needs no sum afterwards.
 */
function mergeRows(backend: Backend, a: Tensor, gradient: Tensor, b: Shape): [Tensor, Tensor] {
  const shared = sizeOf(b.slice(0, -2)) === 1 && b.length <= a.rank && a.rank === gradient.rank && a.rank > 2;
  if (!shared) return [a, gradient];
  const rows = (x: Tensor) => backend.reshape(x, [sizeOf(x.shape.slice(0, -1)), x.shape.at(-1)!]);
  return [rows(a), rows(gradient)];
}
