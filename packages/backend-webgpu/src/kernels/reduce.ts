/** Sums and maxima along one axis of [outer, length, inner], and the softmax of rows. */
import type { ReduceOp } from '@mariana/core';
import type { Kernel, Workgroups } from './kernel.ts';
import { FLAT_WORKGROUP, flatDispatch, flatMain, reduceTree, SPECIAL_FLOATS } from './wgsl.ts';

/** Threads that share a row. */
const THREADS = 64;

/** Rows that are worked on by a workgroup each. */
export interface RowsShape {
  readonly rows: number;
}

/** One workgroup a row: along x as far as a device goes, then along y. `row` in WGSL is below `uniforms.rows`. */
export function rowsDispatch(rows: number): Workgroups {
  const x = Math.min(rows, 32768);
  return [x, x === 0 ? 0 : Math.ceil(rows / x), 1];
}

/** Head of an entry point with a workgroup for each row; `lane` is the thread. Barriers must be in uniform control flow. */
export function rowsMain(threads: number, body: string): string {
  return /* wgsl */ `
@compute @workgroup_size(${threads})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= uniforms.rows) { return; }
${body}
}
`;
}

/** The larger, NaN where one is. */
const LARGER = /* wgsl */ `${SPECIAL_FLOATS}
fn larger(a: f32, b: f32) -> f32 {
  if (is_nan(a)) { return a; }
  if (is_nan(b)) { return b; }
  return select(b, a, a > b);
}
`;

const START: Readonly<Record<ReduceOp, string>> = { sum: '0.0', max: '-infinity()' };

function combine(op: ReduceOp): (a: string, b: string) => string {
  return op === 'sum' ? (a, b) => `${a} + ${b}` : (a, b) => `larger(${a}, ${b})`;
}

/** The last axis of x [rows, length], of at least one element. Uniforms: `rows`, `length`. */
export function reduceRowsKernel(op: ReduceOp): Kernel<RowsShape> {
  const both = combine(op);
  return {
    label: op,
    key: `reduce-rows/${op}`,
    code: `${LARGER}
var<workgroup> partial: array<f32, ${THREADS}>;
${rowsMain(
  THREADS,
  `  var value = ${START[op]};
  for (var k = lane; k < uniforms.length; k += ${THREADS}u) {
    value = ${both('value', 'x[row * uniforms.length + k]')};
  }
  partial[lane] = value;
${reduceTree(THREADS, both)}
  if (lane == 0u) { y[row] = partial[0]; }`,
)}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'x', access: 'read', element: 'f32' },
      { name: 'y', access: 'write', element: 'f32' },
    ],
    uniforms: [
      { name: 'rows', type: 'u32' },
      { name: 'length', type: 'u32' },
    ],
    dispatch: ({ rows }) => rowsDispatch(rows),
  };
}

/** The middle axis of x [outer, length, inner]. Uniforms: `size` (outer * inner), `length`, `inner`. */
export function reduceMiddleKernel(op: ReduceOp): Kernel<{ readonly size: number }> {
  return {
    label: op,
    key: `reduce-middle/${op}`,
    code: `${LARGER}${flatMain(`  let start = (i / uniforms.inner) * uniforms.length * uniforms.inner + i % uniforms.inner;
  var value = ${START[op]};
  for (var k = 0u; k < uniforms.length; k++) { value = ${combine(op)('value', 'x[start + k * uniforms.inner]')}; }
  y[i] = value;`)}`,
    workgroupSize: [FLAT_WORKGROUP, 1, 1],
    bindings: [
      { name: 'x', access: 'read', element: 'f32' },
      { name: 'y', access: 'write', element: 'f32' },
    ],
    uniforms: [
      { name: 'size', type: 'u32' },
      { name: 'length', type: 'u32' },
      { name: 'inner', type: 'u32' },
    ],
    dispatch: ({ size }) => flatDispatch(size),
  };
}

/**
 * exp(x - max) / sum over the last axis of x [rows, length]; NaN in a row that has one, plus infinity, or nothing but
 * minus infinity. Uniforms: `rows`, `length`.
 */
export function softmaxKernel(): Kernel<RowsShape> {
  const at = 'row * uniforms.length + k';
  const loop = (body: string) => `  for (var k = lane; k < uniforms.length; k += ${THREADS}u) { ${body} }`;
  return {
    label: 'softmax',
    key: 'softmax',
    code: `${LARGER}
var<workgroup> partial: array<f32, ${THREADS}>;
${rowsMain(
  THREADS,
  `  var value = -infinity();
${loop(`value = larger(value, x[${at}]);`)}
  partial[lane] = value;
${reduceTree(THREADS, combine('max'))}
  let top = partial[0];
  workgroupBarrier();
  let finite = (bitcast<u32>(top) & 0x7f800000u) != 0x7f800000u;
  value = 0.0;
${loop(`value += exp_below(x[${at}] - top);`)}
  partial[lane] = value;
${reduceTree(THREADS, combine('sum'))}
  let total = partial[0];
${loop(`y[${at}] = select(nan(), exp_below(x[${at}] - top) / total, finite);`)}`,
)}
// exp of a number that is not above 0.
fn exp_below(x: f32) -> f32 { return select(exp(max(x, -104.0)), 0.0, x < -104.0); }
`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'x', access: 'read', element: 'f32' },
      { name: 'y', access: 'write', element: 'f32' },
    ],
    uniforms: [
      { name: 'rows', type: 'u32' },
      { name: 'length', type: 'u32' },
    ],
    dispatch: ({ rows }) => rowsDispatch(rows),
  };
}
