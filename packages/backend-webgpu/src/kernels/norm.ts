/** RMSNorm, the rotation of pairs, and the gate of a feed-forward: one kernel each for what would take several. */
import { elementwiseKernel, type FlatShape } from './elementwise.ts';
import type { Kernel } from './kernel.ts';
import { type RowsShape, rowsDispatch, rowsMain } from './reduce.ts';
import { FLAT_WORKGROUP, flatDispatch, flatMain, reduceTree } from './wgsl.ts';

const THREADS = 64;

/** x / sqrt(mean(x^2) + epsilon) * weight for rows of x [rows, length]. Uniforms: `rows`, `length`, `epsilon` (f32). */
export function rmsNormKernel(): Kernel<RowsShape> {
  return {
    label: 'rms-norm',
    key: 'rms-norm',
    code: `var<workgroup> partial: array<f32, ${THREADS}>;
${rowsMain(
  THREADS,
  `  let start = row * uniforms.length;
  var sum = 0.0;
  for (var k = lane; k < uniforms.length; k += ${THREADS}u) { sum += x[start + k] * x[start + k]; }
  partial[lane] = sum;
${reduceTree(THREADS, (a, b) => `${a} + ${b}`)}
  let inverse = inverseSqrt(partial[0] / f32(uniforms.length) + uniforms.epsilon);
  for (var k = lane; k < uniforms.length; k += ${THREADS}u) { y[start + k] = x[start + k] * inverse * weight[k]; }`,
)}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'x', access: 'read', element: 'f32' },
      { name: 'weight', access: 'read', element: 'f32' },
      { name: 'y', access: 'write', element: 'f32' },
    ],
    uniforms: [
      { name: 'rows', type: 'u32' },
      { name: 'length', type: 'u32' },
      { name: 'epsilon', type: 'f32' },
    ],
    dispatch: ({ rows }) => rowsDispatch(rows),
  };
}

/**
 * (a, b) at (2i, 2i + 1) of x [tokens, heads, 2 * half] becomes (a cos - b sin, a sin + b cos), with cos and sin
 * [tokens, half]. Uniforms: `size` (pairs), `heads`, `half`.
 */
export function rotaryKernel(): Kernel<FlatShape> {
  return {
    label: 'rotary',
    key: 'rotary',
    code: flatMain(`  let at = (i / (uniforms.heads * uniforms.half)) * uniforms.half + i % uniforms.half;
  let a = x[2u * i];
  let b = x[2u * i + 1u];
  y[2u * i] = a * cosines[at] - b * sines[at];
  y[2u * i + 1u] = a * sines[at] + b * cosines[at];`),
    workgroupSize: [FLAT_WORKGROUP, 1, 1],
    bindings: [
      { name: 'x', access: 'read', element: 'f32' },
      { name: 'cosines', access: 'read', element: 'f32' },
      { name: 'sines', access: 'read', element: 'f32' },
      { name: 'y', access: 'write', element: 'f32' },
    ],
    uniforms: [
      { name: 'size', type: 'u32' },
      { name: 'heads', type: 'u32' },
      { name: 'half', type: 'u32' },
    ],
    dispatch: ({ size }) => flatDispatch(size),
  };
}

/** gate * sigmoid(gate) * up, element by element. Uniforms: `size`, `s0_0` = `s1_0` = 1. */
export function swigluKernel(): Kernel<FlatShape> {
  return elementwiseKernel({
    label: 'swiglu',
    operands: ['f32', 'f32'],
    result: 'f32',
    rank: 1,
    value: 'silu(a) * b',
    // Where exp would overflow the quotient is zero, as it should be.
    helpers: 'fn silu(a: f32) -> f32 { return a / (1.0 + exp(min(-a, 88.0))); }\n',
  });
}
