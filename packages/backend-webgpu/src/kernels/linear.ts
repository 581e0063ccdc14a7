/**
 * y = x W^T for weights in any held format, decoded where they are multiplied: one kernel for a few tokens, which reads
 * every weight once and lets the threads of a workgroup share rows of W, and one for many, which makes tiles of y from
 * pieces of x and W in shared memory. Both also do a matrix for each of several groups of the input (`groupedLinear`).
 */
import { FORMAT_TEXTS, type HeldFormat } from './held-format.ts';
import type { Kernel, KernelBinding, KernelUniform } from './kernel.ts';
import { rowsDispatch } from './reduce.ts';

/** Sizes of one product: a matrix, or the rows of one that lie in a buffer of their own. */
export interface LinearShape {
  readonly tokens: number;
  /** Rows of W that are multiplied: of all groups together. */
  readonly rows: number;
  readonly groups: number;
}

/** What the text of a kernel depends on. */
export interface LinearOptions {
  readonly format: HeldFormat;
  /**
   * Whether rows of x start on vectors of four (their length is a multiple of 4); else x is read one number at a time.
   */
  readonly aligned: boolean;
}

/** Threads that share the rows of a workgroup. */
const THREADS = 32;
/** Most tokens of the kernel for few. */
export const MAX_FEW_TOKENS = 4;

function bindings({ format, aligned }: LinearOptions, residuals = 0): readonly KernelBinding[] {
  const { element, scaled } = FORMAT_TEXTS[format];
  return [
    { name: 'x', access: 'read', element: aligned ? 'vec4<f32>' : 'f32' },
    { name: 'codes', access: 'read', element },
    ...(scaled ? [{ name: 'scales', access: 'read', element: 'f32' } as const] : []),
    ...Array.from({ length: residuals }, (_, i) => ({ name: `r${i}`, access: 'read', element: 'f32' }) as const),
    { name: 'y', access: 'write', element: 'f32' },
  ];
}

/** `scale_of(row, vector)` and `x_four(start, column)`: four numbers of a row of x, zeros beyond its end. */
function helpers({ format, aligned }: LinearOptions): string {
  const { helpers, scaled } = FORMAT_TEXTS[format];
  const scale = scaled
    ? `
fn scale_of(row: u32, vector: u32) -> f32 {
  let scale_row = uniforms.scale_row + row / uniforms.scale_rows;
  return scales[scale_row * uniforms.scale_columns + vector / uniforms.scale_vectors];
}`
    : '';
  const four = aligned
    ? `
fn x_four(start: u32, column: u32) -> vec4<f32> {
  if (column < uniforms.inputs) { return x[(start + column) / 4u]; }
  return vec4<f32>();
}`
    : `
fn x_one(start: u32, column: u32) -> f32 {
  if (column < uniforms.inputs) { return x[start + column]; }
  return 0.0;
}
fn x_four(start: u32, column: u32) -> vec4<f32> {
  return vec4<f32>(
    x_one(start, column), x_one(start, column + 1u), x_one(start, column + 2u), x_one(start, column + 3u),
  );
}`;
  return `${helpers}${scale}${four}`;
}

const UNIFORMS: readonly KernelUniform[] = [
  'tokens', // rows of x of a group
  'inputs', // length of a row of x
  'vectors', // in a row of W
  'rows', // of W, in this dispatch
  'code_row', // the first of them in `codes`
  'scale_row', // its row in `scales`
  'scale_rows', // rows of W that share a scale
  'scale_columns', // scales in a row
  'scale_vectors', // vectors of a row that share a scale
  'y_row', // where the first result goes in a row of y
  'y_width', // length of a row of y
  'groups', // inputs [tokens, groups, inputs]
  'group_rows', // rows of W for each group
].map((name) => ({ name, type: 'u32' }));

/**
 * For up to `tokens` tokens (1, 2 or 4). `together` rows of W are multiplied by a workgroup; they must be of one group,
 * so it divides `group_rows`, or there is one group. `residuals` (`r0`, `r1`, of the shape of y) are added to the product,
 * one after the other.
 */
export function fewTokensKernel(
  options: LinearOptions & { tokens: 1 | 2 | 4; together: 1 | 4; residuals?: 0 | 1 | 2 },
): Kernel<LinearShape> {
  const { format, aligned, tokens, together, residuals = 0 } = options;
  const { chunks, inputs, scaled } = FORMAT_TEXTS[format];
  const each = (count: number, text: (i: number) => string) => Array.from({ length: count }, (_, i) => text(i));
  const starts = each(
    tokens,
    (t) => `  let x${t} = (min(${t}u, uniforms.tokens - 1u) * uniforms.groups + g) * uniforms.inputs;`,
  );
  const loads = each(tokens, (t) =>
    chunks.map((_, j) => `    let x${t}_${j} = x_four(x${t}, column + ${4 * j}u);`).join('\n'),
  );
  const products = each(together, (r) => {
    const dots = each(tokens, (t) => {
      const dot = chunks.map((_, j) => `dot(w${j}, x${t}_${j})`).join(' + ');
      return `      sums[${t}][${r}] += ${scaled ? `(${dot}) * scale` : dot};`;
    });
    return `    {
      let row = min(row0 + ${r}u, uniforms.rows - 1u);
      let c = codes[(uniforms.code_row + row) * uniforms.vectors + v];
${chunks.map((chunk, j) => `      let w${j} = ${chunk};`).join('\n')}
${scaled ? '      let scale = scale_of(row, v);' : ''}
${dots.join('\n')}
    }`;
  });
  const vector = together === 4 ? 'vec4<f32>' : 'array<f32, 1>';
  return {
    label: `linear-${format}`,
    key: `linear-few/${format}/${aligned}/${tokens}/${together}/${residuals}`,
    code: /* wgsl */ `${helpers(options)}
var<workgroup> partial: array<array<${vector}, ${tokens}>, ${THREADS}>;

@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row0 = (group.y * groups.x + group.x) * ${together}u;
  if (row0 >= uniforms.rows) { return; }
  let g = row0 / uniforms.group_rows;
${starts.join('\n')}
  var sums: array<${vector}, ${tokens}>;
  for (var v = lane; v < uniforms.vectors; v += ${THREADS}u) {
    let column = v * ${inputs}u;
${loads.join('\n')}
${products.join('\n')}
  }
  partial[lane] = sums;
  workgroupBarrier();
  // A thread for each result.
  let t = lane / ${together}u;
  let r = lane % ${together}u;
  if (t < uniforms.tokens && t < ${tokens}u && row0 + r < uniforms.rows) {
    var total = 0.0;
    for (var k = 0u; k < ${THREADS}u; k++) { total += partial[k][t][r]; }
    let to = t * uniforms.y_width + uniforms.y_row + row0 + r;
    y[to] = total${each(residuals, (i) => ` + r${i}[to]`).join('')};
  }
}
`,
    workgroupSize: [THREADS, 1, 1],
    bindings: bindings(options, residuals),
    uniforms: UNIFORMS,
    dispatch: ({ rows }) => rowsDispatch(Math.ceil(rows / together)),
  };
}

/** Tokens and rows of a tile, and the inputs that are in shared memory at a time. */
const TILE = 32;

/** For many tokens. Workgroups: tiles of rows, tiles of tokens, groups. */
export function manyTokensKernel(options: LinearOptions): Kernel<LinearShape> {
  const { format, aligned } = options;
  const { chunks, inputs, scaled } = FORMAT_TEXTS[format];
  const across = TILE / inputs;
  const stores = chunks.map((chunk, j) => {
    const lines = ['x', 'y', 'z', 'w'].map((part, i) => `      w_tile[at + ${4 * j + i}u][r] = w${j}.${part};`);
    return `      let w${j} = ${chunk}${scaled ? ' * scale' : ''};\n${lines.join('\n')}`;
  });
  return {
    label: `linear-${format}-tiled`,
    key: `linear-many/${format}/${aligned}`,
    code: /* wgsl */ `${helpers(options)}
var<workgroup> x_tile: array<array<f32, ${TILE}>, ${TILE}>;
var<workgroup> w_tile: array<array<f32, ${TILE}>, ${TILE}>;

@compute @workgroup_size(8, 8)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) place: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = group.z * uniforms.group_rows;
  let row0 = group.x * ${TILE}u;
  let token0 = group.y * ${TILE}u;
  let rows = min(uniforms.group_rows, uniforms.rows - first);
  var sums: array<vec4<f32>, 4>;
  for (var v0 = 0u; v0 < uniforms.vectors; v0 += ${across}u) {
    for (var i = lane; i < ${TILE * across}u; i += 64u) {
      let r = i / ${across}u;
      let v = v0 + i % ${across}u;
      let at = (i % ${across}u) * ${inputs}u;
      let row = first + min(row0 + r, rows - 1u);
      let c = codes[(uniforms.code_row + row) * uniforms.vectors + min(v, uniforms.vectors - 1u)];
${scaled ? '      let scale = scale_of(row, min(v, uniforms.vectors - 1u));' : ''}
${stores.join('\n')}
    }
    for (var i = lane; i < ${(TILE * TILE) / 4}u; i += 64u) {
      let t = i / ${TILE / 4}u;
      let at = (i % ${TILE / 4}u) * 4u;
      let token = min(token0 + t, uniforms.tokens - 1u);
      // Beyond the end of a row x is zero, so what W has there does not matter.
      let four = x_four((token * uniforms.groups + group.z) * uniforms.inputs, v0 * ${inputs}u + at);
      x_tile[at][t] = four.x;
      x_tile[at + 1u][t] = four.y;
      x_tile[at + 2u][t] = four.z;
      x_tile[at + 3u][t] = four.w;
    }
    workgroupBarrier();
    for (var k = 0u; k < ${TILE}u; k++) {
      let r = place.x * 4u;
      let w = vec4<f32>(w_tile[k][r], w_tile[k][r + 1u], w_tile[k][r + 2u], w_tile[k][r + 3u]);
      for (var t = 0u; t < 4u; t++) { sums[t] += x_tile[k][place.y * 4u + t] * w; }
    }
    workgroupBarrier();
  }
  for (var t = 0u; t < 4u; t++) {
    let token = token0 + place.y * 4u + t;
    for (var r = 0u; r < 4u; r++) {
      let row = row0 + place.x * 4u + r;
      if (token < uniforms.tokens && row < rows) {
        y[token * uniforms.y_width + uniforms.y_row + first + row] = sums[t][r];
      }
    }
  }
}
`,
    workgroupSize: [8, 8, 1],
    bindings: bindings(options),
    uniforms: UNIFORMS,
    dispatch: ({ tokens, rows, groups }) => [
      Math.ceil(Math.ceil(rows / groups) / TILE),
      Math.ceil(tokens / TILE),
      groups,
    ],
  };
}
