/**
 * Weights in INT4: each row is cut into groups of 32 columns, and each group becomes sixteen-valued codes and one
 * float32 scale. With so few codes the scale matters: mapping the largest magnitude to the end of the range is rarely
 * best, so several scales are tried for each group and the one with the least squared error is kept.
 */

import type { QuantizedGroups } from './groups.ts';
import { roundToEven } from './int8-groups.ts';
import { checkGroup, checkShape, notFinite } from './scale.ts';

/**
 * What the largest magnitude of a group may be mapped to. The codes run from -8 to 7, so a positive extreme needs a
 * negative scale. Beyond -8 the extreme is clipped and the others get finer steps; before it, the steps are coarser and
 * now and then lie better. On normally distributed weights these five leave an error of 8.1% (root mean square), -8
 * alone 8.4%, and a dozen more would gain nothing that counts.
 */
const EXTREMES = [-9, -8.5, -8, -7.5, -7];

/** Below this a scale could be a float32 subnormal, and dividing by it would no longer be precise. */
const SMALLEST_MAGNITUDE = 16 * 2 ** -126;

/**
 * A weight [N, K] as INT4.
 *
 * The scale of a group is found so: the element of largest magnitude is mapped in turn to a few points from -9 to -7,
 * and the others with it; the codes that this gives are held, and the scale that fits them best in least squares,
 * `sum(x * code) / sum(code^2)`, is computed. The fit with the least squared error wins, and the codes are rounded once
 * more for its scale, ties to even. If K is odd, the last high nibble of a row is 8, which is zero. A group of zeros
 * has scale 1.
 *
 * @throws MarianaError `TENSOR_INVALID` for a NaN or an infinity, `SHAPE_MISMATCH` if `values` is not [rows, columns],
 *   `INVALID_ARGUMENT` for an impossible group.
 */
export function quantizeInt4(
  values: Float32Array,
  rows: number,
  columns: number,
  group: number,
): QuantizedGroups<'int4'> {
  checkShape('weight', values.length, rows, columns);
  checkInt4Group(group);
  const groups = Math.ceil(columns / group);
  const rowBytes = Math.ceil(columns / 2);
  const codes = new Uint8Array(rows * rowBytes).fill(0x88);
  const scales = new Float32Array(rows * groups);
  for (let row = 0; row < rows; row++) {
    for (let g = 0; g < groups; g++) {
      const start = row * columns + g * group;
      const end = Math.min(start + group, (row + 1) * columns);
      for (let i = start; i < end; i++) {
        if (!Number.isFinite(values[i]!)) throw notFinite(values[i]!, row, i - row * columns);
      }
      const scale = bestScale(values, start, end);
      scales[row * groups + g] = scale;
      for (let i = start; i < end; i++) {
        const column = i - row * columns;
        const nibble = toCode(values[i]! / scale) + 8;
        const at = row * rowBytes + (column >>> 1);
        codes[at] = column % 2 === 0 ? (codes[at]! & 0xf0) | nibble : (codes[at]! & 0x0f) | (nibble << 4);
      }
    }
  }
  return { codes, scales };
}

/**
 * The float32 values of an INT4 weight [N, K].
 *
 * @throws MarianaError `SHAPE_MISMATCH` if codes or scales do not fit rows and columns, `INVALID_ARGUMENT` for an impossible
 *   group.
 */
export function dequantizeInt4(
  codes: Uint8Array,
  scales: Float32Array,
  rows: number,
  columns: number,
  group: number,
): Float32Array<ArrayBuffer> {
  checkInt4Group(group);
  const groups = Math.ceil(columns / group);
  const rowBytes = Math.ceil(columns / 2);
  checkShape('codes', codes.length, rows, rowBytes);
  checkShape('scales', scales.length, rows, groups);
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const pair = codes[row * rowBytes + (column >>> 1)]!;
      const nibble = column % 2 === 0 ? pair & 0x0f : pair >>> 4;
      values[row * columns + column] = (nibble - 8) * scales[row * groups + Math.floor(column / group)]!;
    }
  }
  return values;
}

/** The scale for the group of `values` from `start` to `end`. */
function bestScale(values: Float32Array, start: number, end: number): number {
  let extreme = 0;
  for (let i = start; i < end; i++) if (Math.abs(values[i]!) > Math.abs(extreme)) extreme = values[i]!;
  if (extreme === 0) return 1;
  if (Math.abs(extreme) < SMALLEST_MAGNITUDE) return SMALLEST_MAGNITUDE / 8;
  let best = 0;
  let bestGain = Number.NEGATIVE_INFINITY;
  for (const target of EXTREMES) {
    const perValue = target / extreme;
    let products = 0;
    let squares = 0;
    for (let i = start; i < end; i++) {
      const value = values[i]!;
      const code = toCode(value * perValue);
      products += value * code;
      squares += code * code;
    }
    // With the fitted scale the squared error is sum(x^2) - products^2 / squares.
    const gain = (products / squares) * products;
    if (gain > bestGain) {
      bestGain = gain;
      best = products / squares;
    }
  }
  return Math.fround(best);
}

/** The code nearest to `x`, ties to even. */
function toCode(x: number): number {
  return Math.max(-8, Math.min(7, roundToEven(x)));
}

function checkInt4Group(group: number): void {
  checkGroup('group', group);
  checkGroup('group / 2', group / 2); // a byte must not hold codes of two groups
}
