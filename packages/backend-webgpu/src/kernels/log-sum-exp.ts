/**
 * The logarithm of the sum of the exponentials of each row: what turns logits into log-probabilities. It stands at the
 * end of each row of a result that is read in one piece with what else is known of the row.
 */
import type { Kernel } from './kernel.ts';
import { type RowsShape, rowsDispatch, rowsMain } from './reduce.ts';
import { reduceTree, SPECIAL_FLOATS } from './wgsl.ts';

const THREADS = 256;

/**
 * - `x`: F32 [rows, length]. `y`: F32; the result of row r is y[r * stride + place].
 *
 * Uniforms: `rows`, `length`, `stride`, `place`. NaN where a row has one, or has plus infinity, or nothing but minus
 * infinity. The sum errs by length u of itself at most (u = 2^-24), its logarithm by that and 3 ulps.
 */
export function logSumExpKernel(): Kernel<RowsShape> {
  const loop = (body: string) => `  for (var k = lane; k < uniforms.length; k += ${THREADS}u) { ${body} }`;
  return {
    label: 'log-sum-exp',
    key: 'log-sum-exp',
    code: `${SPECIAL_FLOATS}
fn larger(a: f32, b: f32) -> f32 {
  if (is_nan(a)) { return a; }
  if (is_nan(b)) { return b; }
  return select(b, a, a > b);
}
fn exp_below(x: f32) -> f32 { return select(exp(max(x, -104.0)), 0.0, x < -104.0); }
var<workgroup> partial: array<f32, ${THREADS}>;
${rowsMain(
  THREADS,
  `  var value = -infinity();
${loop('value = larger(value, x[row * uniforms.length + k]);')}
  partial[lane] = value;
${reduceTree(THREADS, (a, b) => `larger(${a}, ${b})`)}
  let top = partial[0];
  workgroupBarrier();
  value = 0.0;
${loop('value += exp_below(x[row * uniforms.length + k] - top);')}
  partial[lane] = value;
${reduceTree(THREADS, (a, b) => `${a} + ${b}`)}
  if (lane == 0u) {
    let finite = (bitcast<u32>(top) & 0x7f800000u) != 0x7f800000u;
    y[row * uniforms.stride + uniforms.place] = select(nan(), top + log(partial[0]), finite);
  }`,
)}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'x', access: 'read', element: 'f32' },
      { name: 'y', access: 'read-write', element: 'f32' },
    ],
    uniforms: ['rows', 'length', 'stride', 'place'].map((name) => ({ name, type: 'u32' })),
    dispatch: ({ rows }) => rowsDispatch(rows),
  };
}
