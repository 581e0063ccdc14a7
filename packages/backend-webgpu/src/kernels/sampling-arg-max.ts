/**
 * The largest value of each row and its place, so that a greedy token costs a read of eight bytes. A row is cut into
 * pieces, one for each workgroup, and the results of the pieces are put together by a second run: two dispatches for a
 * vocabulary, whatever its size.
 *
 * Values are compared as integers (`sampling-order.ts`): of equal ones the lower index wins, and 0 and -0 are equal.
 * A NaN wins over everything, and comes back as the value: whoever reads it must refuse the row.
 */
import type { Kernel } from './kernel.ts';
import { SORT_KEY } from './sampling-order.ts';

const THREADS = 256;
/** Values that a workgroup takes before it pays to ask another one: sixteen for each thread. */
const PIECE = 4096;

export interface ArgMaxShape {
  readonly rows: number;
  /** Workgroups for each row. */
  readonly pieces: number;
}

/** One run of `argMaxKernel`. */
export interface ArgMaxStage extends ArgMaxShape {
  /** Whether it takes values, or the pairs that another stage left. */
  readonly from: 'values' | 'pairs';
  /** Values, or pairs, in a row of what it takes. */
  readonly width: number;
}

/** The runs that find the largest of `width` values: one, or two where the row is worth cutting. */
export function argMaxStages(rows: number, width: number): ArgMaxStage[] {
  const pieces = Math.min(Math.ceil(width / PIECE), THREADS);
  const first: ArgMaxStage = { from: 'values', rows, width, pieces };
  return pieces === 1 ? [first] : [first, { from: 'pairs', rows, width: pieces, pieces: 1 }];
}

/**
 * The arg-max kernel.
 *
 * - `given`: F32 [rows, width] as bits; or pairs [rows, width, 2] of an earlier stage.
 * - `best`: U32 [rows, pieces, 2]: the bits of the largest value of a piece, and its index in the row.
 *
 * Uniforms: `width`. Exact. width must be at least 1; rows at most 65,535.
 */
export function argMaxKernel(from: ArgMaxStage['from']): Kernel<ArgMaxShape> {
  const value = from === 'values' ? 'given[row + i]' : 'given[(row + i) * 2u]';
  const index = from === 'values' ? 'i' : 'given[(row + i) * 2u + 1u]';
  return {
    label: 'arg-max',
    key: `arg-max ${from}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'given', access: 'read', element: 'u32' },
      { name: 'best', access: 'write', element: 'u32' },
    ],
    uniforms: [{ name: 'width', type: 'u32' }],
    dispatch: ({ rows, pieces }) => [pieces, rows, 1],
    code: /* wgsl */ `${SORT_KEY}
const THREADS = ${THREADS}u;
const NOWHERE = 0xffffffffu;

// Places in what is taken, and the rank of what is there. Places follow the indices, so they decide between equals.
var<workgroup> ranks: array<u32, THREADS>;
var<workgroup> places: array<u32, THREADS>;

@compute @workgroup_size(${THREADS})
fn main(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
) {
  let row = workgroup.y * uniforms.width;
  let piece = (uniforms.width + workgroups.x - 1u) / workgroups.x;
  let end = min(uniforms.width, (workgroup.x + 1u) * piece);
  var rank = 0u;
  var place = NOWHERE;
  for (var i = workgroup.x * piece + lane; i < end; i += THREADS) {
    let other = sort_key(${value});
    if (other > rank) {
      rank = other;
      place = i;
    }
  }
  ranks[lane] = rank;
  places[lane] = place;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      let other = ranks[lane + half];
      if (other > ranks[lane] || (other == ranks[lane] && places[lane + half] < places[lane])) {
        ranks[lane] = other;
        places[lane] = places[lane + half];
      }
    }
  }
  if (lane == 0u) {
    let i = min(places[0], uniforms.width - 1u);
    let to = (workgroup.y * workgroups.x + workgroup.x) * 2u;
    best[to] = ${value};
    best[to + 1u] = ${index};
  }
}
`,
  };
}
