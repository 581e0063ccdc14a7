/**
 * The general matrix product of F32 tensors: any transposition, any broadcasting of the leading axes, told by strides. A
 * workgroup makes a tile of the result from pieces of both operands in shared memory. Products with weights have kernels
 * of their own (`linear.ts`).
 */
import type { Kernel } from './kernel.ts';
import { rowsDispatch } from './reduce.ts';

/** Rows and columns of a tile; each of 64 threads makes a quarter of a row of eight times four by four values. */
const TILE = 32;
/** Inner elements in shared memory at a time. */
const DEPTH = 16;

export interface MatmulShape {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
}

/**
 * Uniforms: `batch`, `m`, `n`, `k`; `am`, `ak`, `bk`, `bn` (strides of the matrices); `n1` to `n<rank - 1>` (sizes of the leading
 * axes but the first); `sa<axis>`, `sb<axis>` (their strides). y is dense [batch, m, n].
 */
export function matmulKernel(rank: number): Kernel<MatmulShape> {
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  const starts = axes.toReversed().map((axis) => {
    const at = axis === 0 ? 'rest' : `(rest % uniforms.n${axis})`;
    const next = axis === 0 ? '' : `\n  rest = rest / uniforms.n${axis};`;
    return `  a_start += ${at} * uniforms.sa${axis};\n  b_start += ${at} * uniforms.sb${axis};${next}`;
  });
  return {
    label: 'matmul',
    key: `matmul/${rank}`,
    code: /* wgsl */ `
var<workgroup> a_tile: array<array<f32, ${TILE}>, ${DEPTH}>;
var<workgroup> b_tile: array<array<f32, ${TILE}>, ${DEPTH}>;

@compute @workgroup_size(8, 8)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_id) place: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let tile = workgroup.y * workgroups.x + workgroup.x;
  let across = (uniforms.n + ${TILE - 1}u) / ${TILE}u;
  let down = (uniforms.m + ${TILE - 1}u) / ${TILE}u;
  let matrix = tile / (across * down);
  if (matrix >= uniforms.batch) { return; }
  let row0 = (tile / across) % down * ${TILE}u;
  let column0 = tile % across * ${TILE}u;
  var rest = matrix;
  var a_start = 0u;
  var b_start = 0u;
${starts.join('\n')}
  var sums: array<vec4<f32>, 4>;
  for (var k0 = 0u; k0 < uniforms.k; k0 += ${DEPTH}u) {
    for (var t = lane; t < ${TILE * DEPTH}u; t += 64u) {
      // Neighbouring threads read neighbouring elements, whichever axis that is.
      let a_by_k = uniforms.ak == 1u;
      let ak = select(t / ${TILE}u, t % ${DEPTH}u, a_by_k);
      let am = select(t % ${TILE}u, t / ${DEPTH}u, a_by_k);
      let b_by_k = uniforms.bk == 1u;
      let bk = select(t / ${TILE}u, t % ${DEPTH}u, b_by_k);
      let bn = select(t % ${TILE}u, t / ${DEPTH}u, b_by_k);
      var a_value = 0.0;
      if (row0 + am < uniforms.m && k0 + ak < uniforms.k) {
        a_value = a[a_start + (row0 + am) * uniforms.am + (k0 + ak) * uniforms.ak];
      }
      a_tile[ak][am] = a_value;
      var b_value = 0.0;
      if (column0 + bn < uniforms.n && k0 + bk < uniforms.k) {
        b_value = b[b_start + (k0 + bk) * uniforms.bk + (column0 + bn) * uniforms.bn];
      }
      b_tile[bk][bn] = b_value;
    }
    workgroupBarrier();
    let depth = min(${DEPTH}u, uniforms.k - k0);
    for (var k = 0u; k < depth; k++) {
      let column = place.x * 4u;
      let b_four = vec4<f32>(b_tile[k][column], b_tile[k][column + 1u], b_tile[k][column + 2u], b_tile[k][column + 3u]);
      for (var r = 0u; r < 4u; r++) { sums[r] += a_tile[k][place.y * 4u + r] * b_four; }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < 4u; r++) {
    let row = row0 + place.y * 4u + r;
    for (var c = 0u; c < 4u; c++) {
      let column = column0 + place.x * 4u + c;
      if (row < uniforms.m && column < uniforms.n) {
        y[(matrix * uniforms.m + row) * uniforms.n + column] = sums[r][c];
      }
    }
  }
}
`,
    workgroupSize: [8, 8, 1],
    bindings: [
      { name: 'a', access: 'read', element: 'f32' },
      { name: 'b', access: 'read', element: 'f32' },
      { name: 'y', access: 'write', element: 'f32' },
    ],
    uniforms: [
      ...['batch', 'm', 'n', 'k', 'am', 'ak', 'bk', 'bn'],
      ...axes.slice(1).map((axis) => `n${axis}`),
      ...axes.map((axis) => `sa${axis}`),
      ...axes.map((axis) => `sb${axis}`),
    ].map((name) => ({ name, type: 'u32' as const })),
    dispatch: ({ batch, m, n }) => rowsDispatch(batch * Math.ceil(n / TILE) * Math.ceil(m / TILE)),
  };
}
