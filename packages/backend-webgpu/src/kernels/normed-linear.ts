/**
 * y = W norm(x) for a few tokens: RMSNorm as a part of the product that takes its result. A norm divides a whole row by
 * one number, so the product is made of the row as it is, times the norm's weight, while the squares are summed beside
 * it, and is divided at the end. That costs one more load for each number of x, and saves a dispatch and a wait.
 *
 * Two matrices that take the same input (`q_a_proj` and `kv_a_proj` of attention) are multiplied side by side, by
 * workgroups of their own.
 *
 * Source: `rmsNorm` and `linear` in the contract; `Block.forward` and `MLA.forward` in DeepSeek's inference/model.py.
 */
import { FORMAT_TEXTS, type HeldFormat } from './held-format.ts';
import type { Kernel, KernelBinding } from './kernel.ts';
import { rowsDispatch } from './reduce.ts';

/** What the text of the kernel depends on. */
export interface NormedLinearConfig {
  /** How all matrices are held. */
  readonly format: HeldFormat;
  /** Most tokens. */
  readonly tokens: 1 | 2 | 4;
  /** Matrices that are multiplied, of one length of rows and one grouping of scales. */
  readonly matrices: 1 | 2;
  /** Whether x is normed first. */
  readonly normed: boolean;
}

export interface NormedLinearShape {
  /** Rows of each matrix. */
  readonly rows: readonly number[];
}

/** Threads that share the rows of a workgroup. */
const THREADS = 32;
/** Rows of a workgroup: what is loaded of x serves them all. */
const ROWS = 4;

/**
 * The kernel; m is 0, or 0 and 1.
 *
 * - `x`: F32 [tokens, inputs], with `inputs` a multiple of 4. `norm`: F32 [inputs], if `normed`.
 * - `codes<m>` (and `scales<m>`): the matrix [rows<m>, inputs]. `y<m>`: F32 [tokens, rows<m>].
 *
 * Uniforms: `tokens`, `inputs`, `vectors` (in a row of W), `scale_rows`, `scale_columns`, `scale_vectors` (as of
 * `linear.ts`), `epsilon`, and for each matrix `rows<m>`, `code_row<m>`, `scale_row<m>` (where it starts in its buffers).
 *
 * Accuracy: the product errs by (inputs + 5) u of the sum of its magnitudes (u = 2^-24), the root of the mean square by
 * (inputs / 2 + 3) u of itself, and `inverseSqrt` by 2 ulps.
 */
export function normedLinearKernel(config: NormedLinearConfig): Kernel<NormedLinearShape> {
  const { format, tokens, matrices, normed } = config;
  const { element, scaled } = FORMAT_TEXTS[format];
  const numbers = Array.from({ length: matrices }, (_, m) => m);
  const read = (name: string, element: KernelBinding['element']): KernelBinding => ({ name, access: 'read', element });
  return {
    label: `${normed ? 'norm-' : ''}linear-${format}${matrices === 2 ? '-pair' : ''}`,
    key: `normed-linear/${format}/${tokens}/${matrices}/${normed}`,
    code: normedLinearCode(config),
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      read('x', 'vec4<f32>'),
      ...(normed ? [read('norm', 'vec4<f32>')] : []),
      ...numbers.flatMap((m) => [read(`codes${m}`, element), ...(scaled ? [read(`scales${m}`, 'f32')] : [])]),
      ...numbers.map((m) => ({ name: `y${m}`, access: 'write', element: 'f32' }) as const),
    ],
    uniforms: [
      ...['tokens', 'inputs', 'vectors', 'scale_rows', 'scale_columns', 'scale_vectors'].map(
        (name) => ({ name, type: 'u32' }) as const,
      ),
      { name: 'epsilon', type: 'f32' },
      ...numbers.flatMap((m) =>
        [`rows${m}`, `code_row${m}`, `scale_row${m}`].map((name) => ({ name, type: 'u32' }) as const),
      ),
    ],
    dispatch: ({ rows }) => rowsDispatch(rows.reduce((groups, count) => groups + Math.ceil(count / ROWS), 0)),
  };
}

/** WGSL: `of_<what>(isSecond, ...)`, which takes from the buffers of one matrix or the other. */
function choose(matrices: 1 | 2, value: (m: number) => string): string {
  return matrices === 1
    ? `return ${value(0)};`
    : `if (is_second) { return ${value(1)}; }
  return ${value(0)};`;
}

function normedLinearCode({ format, tokens, matrices, normed }: NormedLinearConfig): string {
  const { chunks, inputs, helpers, scaled, element } = FORMAT_TEXTS[format];
  const each = (count: number, text: (i: number) => string) => Array.from({ length: count }, (_, i) => text(i));
  const loads = chunks.flatMap((_, j) => [
    `    let column${j} = v * ${inputs}u + ${4 * j}u;`,
    ...(normed ? [`    let n${j} = norm[column${j} / 4u];`] : []),
    ...each(
      tokens,
      (t) => `    let raw${t}_${j} = x_four(${t}u, column${j});
    ${normed ? `squares[${t}] += dot(raw${t}_${j}, raw${t}_${j});` : ''}
    let x${t}_${j} = raw${t}_${j}${normed ? ` * n${j}` : ''};`,
    ),
  ]);
  const products = each(ROWS, (r) => {
    const dots = each(tokens, (t) => {
      const dot = chunks.map((_, j) => `dot(w${j}, x${t}_${j})`).join(' + ');
      return `      sums[${t}][${r}] += ${scaled ? `(${dot}) * scale` : dot};`;
    });
    return `    {
      let row = min(row0 + ${r}u, rows - 1u);
      let c = codes_of(is_second, row, v);
${chunks.map((chunk, j) => `      let w${j} = ${chunk};`).join('\n')}
${scaled ? '      let scale = scale_of(is_second, row, v);' : ''}
${dots.join('\n')}
    }`;
  });
  const scaleAt = (m: number) =>
    `scales${m}[(uniforms.scale_row${m} + row / uniforms.scale_rows) * uniforms.scale_columns + vector / uniforms.scale_vectors]`;
  return /* wgsl */ `${helpers}
fn codes_of(is_second: bool, row: u32, vector: u32) -> ${element} {
  ${choose(matrices, (m) => `codes${m}[(uniforms.code_row${m} + row) * uniforms.vectors + vector]`)}
}
${
  scaled
    ? `fn scale_of(is_second: bool, row: u32, vector: u32) -> f32 {
  ${choose(matrices, scaleAt)}
}`
    : ''
}
fn rows_of(is_second: bool) -> u32 {
  ${choose(matrices, (m) => `uniforms.rows${m}`)}
}
/** Zeros beyond the end of a row. */
fn x_four(t: u32, column: u32) -> vec4<f32> {
  if (column >= uniforms.inputs) { return vec4<f32>(); }
  return x[(min(t, uniforms.tokens - 1u) * uniforms.inputs + column) / 4u];
}

var<workgroup> partial: array<array<vec4<f32>, ${tokens}>, ${THREADS}>;
${normed ? `var<workgroup> partial_squares: array<array<f32, ${tokens}>, ${THREADS}>;` : ''}

@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let place = group.y * groups.x + group.x;
  let first = (uniforms.rows0 + ${ROWS - 1}u) / ${ROWS}u;
  let is_second = place >= first;
  let row0 = (place - select(0u, first, is_second)) * ${ROWS}u;
  let rows = rows_of(is_second);
  if (row0 >= rows${matrices === 1 ? ' || is_second' : ''}) { return; }
  var sums: array<vec4<f32>, ${tokens}>;
  ${normed ? `var squares: array<f32, ${tokens}>;` : ''}
  for (var v = lane; v < uniforms.vectors; v += ${THREADS}u) {
${loads.join('\n')}
${products.join('\n')}
  }
  partial[lane] = sums;
  ${normed ? 'partial_squares[lane] = squares;' : ''}
  workgroupBarrier();
  // A thread for each result.
  let t = lane / ${ROWS}u;
  let r = lane % ${ROWS}u;
  if (t < uniforms.tokens && t < ${tokens}u && row0 + r < rows) {
    var total = 0.0;
    for (var k = 0u; k < ${THREADS}u; k++) { total += partial[k][t][r]; }
    ${normed ? NORM : ''}
    let to = t * rows + row0 + r;
    ${matrices === 1 ? 'y0[to] = total;' : 'if (is_second) { y1[to] = total; } else { y0[to] = total; }'}
  }
}
`;
}

const NORM = /* wgsl */ `var square = 0.0;
    for (var k = 0u; k < ${THREADS}u; k++) { square += partial_squares[k][t]; }
    total *= inverseSqrt(square / f32(uniforms.inputs) + uniforms.epsilon);`;
