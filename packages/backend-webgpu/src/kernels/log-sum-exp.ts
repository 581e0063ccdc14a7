/**
 * The logarithm of the sum of the exponentials of each row, as it is and divided by a temperature: what turns logits into
 * log-probabilities. Both are relative to the row's maximum, which the host knows to the bit, so that they are small
 * numbers without a rounding of note. They stand at the end of each row of a result that is read in one piece with what
 * else is known of the row.
 */
import type { Kernel } from './kernel.ts';
import { type RowsShape, rowsDispatch, rowsMain } from './reduce.ts';
import { reduceTree, SPECIAL_FLOATS } from './wgsl.ts';

const THREADS = 256;

/**
 * - `x`: F32 [rows, length]. `y`: F32; of row r, y[r * stride + place] is log(sum(exp(x - max))), and the number behind
 *   it log(sum(exp((x - max) * scale))).
 *
 * Uniforms: `rows`, `length`, `stride`, `place`, `scale` (F32, not negative). NaN where a row has one, or has plus
 * infinity, or nothing but minus infinity.
 *
 * Accuracy: a thread sums every 256th number, and a tree the threads: (length / 256 + 9) u of the sum (u = 2^-24). An
 * exponential errs by 3 + 2 |x| ulps, and its argument by 2 u of itself, where e^x makes little of large |x|: the sum is
 * right to 2^-12 of itself for rows of up to 500,000.
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
  var scaled = 0.0;
${loop(`let below = x[row * uniforms.length + k] - top;
    value += exp_below(below);
    scaled += exp_below(below * uniforms.scale);`)}
  partial[lane] = value;
${reduceTree(THREADS, (a, b) => `${a} + ${b}`)}
  let sum = partial[0];
  workgroupBarrier();
  partial[lane] = scaled;
${reduceTree(THREADS, (a, b) => `${a} + ${b}`)}
  if (lane == 0u) {
    let finite = (bitcast<u32>(top) & 0x7f800000u) != 0x7f800000u;
    let at = row * uniforms.stride + uniforms.place;
    y[at] = select(nan(), log(sum), finite);
    y[at + 1u] = select(nan(), log(partial[0]), finite);
  }`,
)}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'x', access: 'read', element: 'f32' },
      { name: 'y', access: 'read-write', element: 'f32' },
    ],
    uniforms: [
      ...['rows', 'length', 'stride', 'place'].map((name) => ({ name, type: 'u32' }) as const),
      { name: 'scale', type: 'f32' },
    ],
    dispatch: ({ rows }) => rowsDispatch(rows),
  };
}
