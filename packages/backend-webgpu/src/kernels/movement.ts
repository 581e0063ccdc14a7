/**
 * Kernels that move elements without computing: slices and transposes, concatenation, rows taken and rows written. All
 * of them move 32 bits at a time, so nothing happens to a NaN or a subnormal on the way.
 */
import type { FlatShape } from './elementwise.ts';
import type { Kernel } from './kernel.ts';
import { FLAT_WORKGROUP, flatDispatch, flatMain } from './wgsl.ts';

const flat = {
  workgroupSize: [FLAT_WORKGROUP, 1, 1],
  dispatch: ({ size }: FlatShape) => flatDispatch(size),
} as const;

const u32 = (name: string) => ({ name, type: 'u32' as const });

/**
 * The elements of a dense result from a strided view: `slice` and `transpose`.
 * Uniforms: `size`, `start`, `n1` to `n<rank - 1>`, `s0` to `s<rank - 1>`.
 */
export function stridedCopyKernel(rank: number): Kernel<FlatShape> {
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  const index = axes
    .toReversed()
    .map((axis) =>
      axis === 0
        ? '  source += rest * uniforms.s0;'
        : `  source += (rest % uniforms.n${axis}) * uniforms.s${axis};\n  rest = rest / uniforms.n${axis};`,
    );
  return {
    ...flat,
    label: 'copy',
    key: `copy/${rank}`,
    code: flatMain(`  var rest = i;\n  var source = uniforms.start;\n${index.join('\n')}\n  y[i] = x[source];`),
    bindings: [
      { name: 'x', access: 'read', element: 'u32' },
      { name: 'y', access: 'write', element: 'u32' },
    ],
    uniforms: [u32('size'), u32('start'), ...axes.slice(1).map((a) => u32(`n${a}`)), ...axes.map((a) => u32(`s${a}`))],
  };
}

/** Most parts that one dispatch joins: with the result, as many buffers as every device binds. */
export const MAX_CONCAT_PARTS = 7;

/**
 * Rows [outer, w0], [outer, w1], ... side by side, from column `first` of rows of `width` on.
 * Uniforms: `size` (elements of all parts), `columns` (widths of the parts together), `width`, `first`, `e0`, `e1`, ...
 * (where each part ends).
 */
export function concatKernel(parts: number): Kernel<FlatShape> {
  const numbers = Array.from({ length: parts }, (_, k) => k);
  const branches = numbers.map((k) => {
    const start = k === 0 ? '0u' : `uniforms.e${k - 1}`;
    const load = `value = x${k}[row * (uniforms.e${k} - ${start}) + column - ${start}];`;
    return k === parts - 1 ? `{ ${load} }` : `if (column < uniforms.e${k}) { ${load} }`;
  });
  return {
    ...flat,
    label: 'concat',
    key: `concat/${parts}`,
    code: flatMain(`  let row = i / uniforms.columns;
  let column = i % uniforms.columns;
  var value = 0u;
  ${branches.join(' else ')}
  y[row * uniforms.width + uniforms.first + column] = value;`),
    bindings: [
      ...numbers.map((k) => ({ name: `x${k}`, access: 'read' as const, element: 'u32' as const })),
      { name: 'y', access: 'write', element: 'u32' },
    ],
    uniforms: [u32('size'), u32('columns'), u32('width'), u32('first'), ...numbers.map((k) => u32(`e${k}`))],
  };
}

/**
 * Rows of x [rows, width] at `indices`. An index that names no row, which only a device-made one can be, gives zeros.
 * Uniforms: `size`, `width`, `rows`.
 */
export function gatherKernel(): Kernel<FlatShape> {
  return {
    ...flat,
    label: 'gather',
    key: 'gather',
    code: flatMain(`  let row = indices[i / uniforms.width];
  if (row >= 0 && u32(row) < uniforms.rows) { y[i] = x[u32(row) * uniforms.width + i % uniforms.width]; }
  else { y[i] = 0u; }`),
    bindings: [
      { name: 'x', access: 'read', element: 'u32' },
      { name: 'indices', access: 'read', element: 'i32' },
      { name: 'y', access: 'write', element: 'u32' },
    ],
    uniforms: [u32('size'), u32('width'), u32('rows')],
  };
}

/** Shape of `scatterAdd`: one thread a column. */
export interface ScatterShape {
  readonly width: number;
}

/**
 * Sums updates [count, width] into y [rows, width], which is set to zero first. A thread has a column to itself, so
 * sums are made in the order of the updates and are the same bits on every run. Indices that name no row are left out.
 * Uniforms: `size` (= width), `rows`, `count`.
 */
export function scatterAddKernel(): Kernel<ScatterShape> {
  return {
    workgroupSize: [FLAT_WORKGROUP, 1, 1],
    dispatch: ({ width }) => flatDispatch(width),
    label: 'scatter-add',
    key: 'scatter-add',
    code: flatMain(`  for (var row = 0u; row < uniforms.rows; row++) { y[row * uniforms.size + i] = 0.0; }
  for (var k = 0u; k < uniforms.count; k++) {
    let row = indices[k];
    if (row >= 0 && u32(row) < uniforms.rows) {
      let at = u32(row) * uniforms.size + i;
      y[at] = y[at] + updates[k * uniforms.size + i];
    }
  }`),
    bindings: [
      { name: 'indices', access: 'read', element: 'i32' },
      { name: 'updates', access: 'read', element: 'f32' },
      { name: 'y', access: 'read-write', element: 'f32' },
    ],
    uniforms: [u32('size'), u32('rows'), u32('count')],
  };
}
