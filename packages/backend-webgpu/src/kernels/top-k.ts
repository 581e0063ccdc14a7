/**
 * The k largest values of each row and where they are, largest first, of equal ones the first. A workgroup finds the
 * best value that comes after the last one found, k times: right for any k, and quick for the few that a router or a
 * sampler wants.
 */
import type { Kernel } from './kernel.ts';
import { type RowsShape, rowsDispatch, rowsMain } from './reduce.ts';
import { reduceTree } from './wgsl.ts';

const THREADS = 64;

/** Uniforms: `rows`, `length`, `k`. x [rows, length]; values and indices [rows, k]. */
export function topKKernel(): Kernel<RowsShape> {
  return {
    label: 'top-k',
    key: 'top-k',
    code: /* wgsl */ `
// Bits that order as the numbers do; both zeros alike, NaN above or below everything by its sign.
fn order_of(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  if ((bits & 0x7fffffffu) == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

// The one that comes first: the larger value, else the smaller index. y is the index, all ones for nothing found.
fn first_of(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let before = a.x > b.x || (a.x == b.x && a.y < b.y);
  return select(b, a, before);
}

var<workgroup> partial: array<vec2<u32>, ${THREADS}>;
${rowsMain(
  THREADS,
  `  var last = vec2<u32>(0xffffffffu, 0u);
  for (var place = 0u; place < uniforms.k; place++) {
    var best = vec2<u32>(0u, 0xffffffffu);
    for (var i = lane; i < uniforms.length; i += ${THREADS}u) {
      let candidate = vec2<u32>(order_of(x[row * uniforms.length + i]), i);
      let remains = place == 0u || candidate.x < last.x || (candidate.x == last.x && candidate.y > last.y);
      if (remains) { best = first_of(best, candidate); }
    }
    partial[lane] = best;
${reduceTree(THREADS, (a, b) => `first_of(${a}, ${b})`)}
    last = partial[0];
    workgroupBarrier();
    if (lane == 0u) {
      values[row * uniforms.k + place] = x[row * uniforms.length + last.y];
      indices[row * uniforms.k + place] = i32(last.y);
    }
  }`,
)}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'x', access: 'read', element: 'f32' },
      { name: 'values', access: 'write', element: 'f32' },
      { name: 'indices', access: 'write', element: 'i32' },
    ],
    uniforms: [
      { name: 'rows', type: 'u32' },
      { name: 'length', type: 'u32' },
      { name: 'k', type: 'u32' },
    ],
    dispatch: ({ rows }) => rowsDispatch(rows),
  };
}
