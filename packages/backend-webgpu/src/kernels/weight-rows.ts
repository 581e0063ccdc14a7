/** Rows of a weight as f32 values: all of them (`dequantize`), or those of some token ids (`embed`). */

import type { FlatShape } from './elementwise.ts';
import { FORMAT_TEXTS, type HeldFormat } from './held-format.ts';
import type { Kernel } from './kernel.ts';
import { FLAT_WORKGROUP, flatDispatch, flatMain } from './wgsl.ts';

/**
 * A thread takes a vector of W apart. Ids that are not among this part's rows are another part's to write; ids of no
 * row leave their rows of y as they are. The products with scales are single multiplications, so values are exact.
 *
 * Uniforms: `size` (rows of y times `vectors`), `vectors`, `inputs`, `first_row` (the first row of the matrix in this
 * part), `rows` (rows in this part), `code_row`, `scale_row`, `scale_rows`, `scale_columns`, `scale_vectors`.
 */
export function weightRowsKernel(format: HeldFormat, listed: boolean): Kernel<FlatShape> {
  const { element, inputs, chunks, helpers, scaled } = FORMAT_TEXTS[format];
  const stores = chunks.map((chunk, j) => {
    const lines = Array.from({ length: 4 }, (_, part) => {
      const column = `column + ${4 * j + part}u`;
      return `  if (${column} < uniforms.inputs) { y[out + ${column}] = w${j}[${part}]; }`;
    });
    return `  let w${j} = ${chunk}${scaled ? ' * scale' : ''};\n${lines.join('\n')}`;
  });
  return {
    label: listed ? `embed-${format}` : `dequantize-${format}`,
    key: `weight-rows/${format}/${listed}`,
    code: `${helpers}${flatMain(`  let place = i / uniforms.vectors;
  let v = i % uniforms.vectors;
  let row = ${listed ? 'u32(ids[place])' : 'uniforms.first_row + place'} - uniforms.first_row;
  if (row >= uniforms.rows) { return; }
  let c = codes[(uniforms.code_row + row) * uniforms.vectors + v];
${
  scaled
    ? `  let scale_row = uniforms.scale_row + row / uniforms.scale_rows;
  let scale = scales[scale_row * uniforms.scale_columns + v / uniforms.scale_vectors];`
    : ''
}
  let column = v * ${inputs}u;
  let out = (${listed ? 'place' : 'uniforms.first_row + place'}) * uniforms.inputs;
${stores.join('\n')}`)}`,
    workgroupSize: [FLAT_WORKGROUP, 1, 1],
    bindings: [
      { name: 'codes', access: 'read', element },
      ...(scaled ? [{ name: 'scales', access: 'read', element: 'f32' } as const] : []),
      ...(listed ? [{ name: 'ids', access: 'read', element: 'i32' } as const] : []),
      { name: 'y', access: 'write', element: 'f32' },
    ],
    uniforms: [
      'size',
      'vectors',
      'inputs',
      'first_row',
      'rows',
      'code_row',
      'scale_row',
      'scale_rows',
      'scale_columns',
      'scale_vectors',
    ].map((name) => ({ name, type: 'u32' })),
    dispatch: ({ size }) => flatDispatch(size),
  };
}
