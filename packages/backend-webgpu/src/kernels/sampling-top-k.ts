/**
 * The k largest values of each row with their places, largest first: what a sampler needs of a vocabulary, in a read of
 * a few hundred bytes. A row is cut into pieces that fit a workgroup's memory; each is sorted there (bitonic, K. Batcher,
 * "Sorting networks and their applications", 1968) and its first k are kept; the same is done to what was kept, until
 * one piece is left. A vocabulary of 129,280 takes two runs for k up to 32 and three up to 256.
 *
 * Values are compared as integers (`sampling-order.ts`), equal ones by their place, so the order is total: indices are
 * distinct, of equals the lower comes first, and NaN comes before everything.
 */
import type { Kernel, KernelBinding } from './kernel.ts';
import { SORT_KEY } from './sampling-order.ts';

const THREADS = 256;
/** Values that a workgroup sorts at once: two words each in the 16 KB that every device has. */
const MOST = 2048;

/** The largest k that these kernels take: each run must leave less than it got. */
export const TOP_K_LIMIT = MOST / 2;

export interface TopKShape {
  readonly rows: number;
  /** Workgroups for each row. */
  readonly pieces: number;
}

/** One run of `topKKernel`. It leaves `pieces * k` candidates for each row. */
export interface TopKStage extends TopKShape {
  /** Whether it takes the row itself, or what another stage left. */
  readonly first: boolean;
  /** Whether it writes the result. */
  readonly last: boolean;
  /** Values in a row of what it takes. */
  readonly width: number;
  /** Places that are sorted, a power of two. */
  readonly capacity: number;
}

/** The runs that find the k largest of `width` values; k is 1 to `TOP_K_LIMIT` and at most `width`. */
export function topKStages(rows: number, width: number, k: number): TopKStage[] {
  const stages: TopKStage[] = [];
  for (let left = width; ; ) {
    const pieces = Math.ceil(left / MOST);
    const capacity = Math.max(2, 2 ** Math.ceil(Math.log2(Math.ceil(left / pieces))));
    stages.push({ first: stages.length === 0, last: pieces === 1, rows, width: left, pieces, capacity });
    if (pieces === 1) return stages;
    left = pieces * k;
  }
}

/** How the last stage writes its result. */
export type TopKResult = 'tensors' | 'pairs';

/**
 * The top-k kernel of a stage.
 *
 * - `values`: F32 [rows, width] as bits; where the stage is not the first, what the one before left, with `places`: I32
 *   of the same shape.
 * - `top_values`, `top_places`: F32 and I32 [rows, pieces * k]; -1 in the places of pieces with less than k values.
 *   A last stage with result `pairs` writes `top_pairs` instead: U32 [rows, k, 2], bits and index, for one read.
 *
 * Uniforms: `width`, `k`. Exact: values come back with all their bits. rows at most 65,535.
 */
export function topKKernel({ first, last, capacity }: TopKStage, result: TopKResult = 'tensors'): Kernel<TopKShape> {
  const pairs = last && result === 'pairs';
  const outputs: KernelBinding[] = pairs
    ? [{ name: 'top_pairs', access: 'write', element: 'u32' }]
    : [
        { name: 'top_values', access: 'write', element: 'u32' },
        { name: 'top_places', access: 'write', element: 'i32' },
      ];
  return {
    label: 'top-k',
    key: `top-k ${first} ${pairs} ${capacity}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'values', access: 'read', element: 'u32' },
      ...(first ? [] : [{ name: 'places', access: 'read', element: 'i32' } satisfies KernelBinding]),
      ...outputs,
    ],
    uniforms: [
      { name: 'width', type: 'u32' },
      { name: 'k', type: 'u32' },
    ],
    dispatch: ({ rows, pieces }) => [pieces, rows, 1],
    code: topKCode(capacity, first, pairs),
  };
}

function topKCode(capacity: number, first: boolean, pairs: boolean): string {
  return /* wgsl */ `${SORT_KEY}
const THREADS = ${THREADS}u;
const CAPACITY = ${capacity}u;
const NOTHING = 0u; // ranks below every value

// Rank and position of each value of the piece. Positions follow the indices in every stage, so they decide ties.
var<workgroup> ranks: array<u32, CAPACITY>;
var<workgroup> positions: array<u32, CAPACITY>;

/** Whether a goes behind b. */
fn is_behind(a: u32, b: u32) -> bool {
  return ranks[a] < ranks[b] || (ranks[a] == ranks[b] && positions[a] > positions[b]);
}

@compute @workgroup_size(${THREADS})
fn main(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
) {
  let row = workgroup.y * uniforms.width;
  let piece = (uniforms.width + workgroups.x - 1u) / workgroups.x;
  let start = workgroup.x * piece;
  for (var i = lane; i < CAPACITY; i += THREADS) {
    let position = start + i;
    positions[i] = position;
    ranks[i] = NOTHING;
    if (i < piece && position < uniforms.width${first ? '' : ' && places[row + position] >= 0'}) {
      ranks[i] = sort_key(values[row + position]);
    }
  }
  for (var run = 2u; run <= CAPACITY; run *= 2u) {
    for (var reach = run / 2u; reach > 0u; reach /= 2u) {
      workgroupBarrier();
      for (var pair = lane; pair < CAPACITY / 2u; pair += THREADS) {
        let low = 2u * pair - (pair & (reach - 1u));
        let high = low + reach;
        let falls = (low & run) == 0u;
        if (is_behind(low, high) == falls) {
          let rank = ranks[low];
          ranks[low] = ranks[high];
          ranks[high] = rank;
          let position = positions[low];
          positions[low] = positions[high];
          positions[high] = position;
        }
      }
    }
  }
  workgroupBarrier();
  for (var i = lane; i < uniforms.k; i += THREADS) {
    let to = (workgroup.y * workgroups.x + workgroup.x) * uniforms.k + i;
    var value = 0u;
    var place = -1;
    if (i < CAPACITY && ranks[i] != NOTHING) {
      let source = row + positions[i];
      value = values[source];
      place = ${first ? 'i32(positions[i])' : 'places[source]'};
    }
    ${pairs ? 'top_pairs[to * 2u] = value;\n    top_pairs[to * 2u + 1u] = bitcast<u32>(place);' : 'top_values[to] = value;\n    top_places[to] = place;'}
  }
}
`;
}
