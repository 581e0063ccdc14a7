/**
 * Groups the slots of a routing (a token and one of its experts) by expert, on the device, so that each expert's matrix
 * is multiplied once with all its tokens. A counting sort: one workgroup for each expert counts how many slots go before
 * its own, and writes its own in order. Every workgroup makes the same histogram for itself, so none waits for another
 * and one dispatch does it all.
 *
 * The result is a list of slots and a list of tiles, pieces of the slot list that belong to one expert. How many tiles
 * there are is known only to the device; the host starts as many workgroups as there could be, and those without a tile
 * end at once.
 */
import { MarianaError } from '@mariana/core';
import type { Kernel } from './kernel.ts';

/** Slots in a tile. */
export const TILE_SLOTS = 32;

export interface SortShape {
  readonly experts: number;
}

const THREADS = 256;
/** Counters that fit a workgroup's memory on every device, beside the partial sums. */
const MOST_EXPERTS = 3500;

/** The most tiles that a routing of `slots` slots to `experts` experts can have; each takes three words. */
export function mostTiles(slots: number, experts: number): number {
  return Math.floor((slots + Math.min(slots, experts) * (TILE_SLOTS - 1)) / TILE_SLOTS);
}

/**
 * The sorting kernel.
 *
 * - `indices`: I32 [slots]; slots of experts that do not exist are left out.
 * - `list`: U32 [slots], slots by expert, those of an expert in their order.
 * - `tiles`: U32 [most_tiles, 3]: an expert, the first of its slots in `list`, their number (1 to 32); 0, 0, 0 for the
 *   rest.
 *
 * Uniforms: `slots`, `most_tiles`. Exact, and the same each time.
 *
 * @throws MarianaError `INVALID_ARGUMENT` for more experts than a workgroup can count.
 */
export function expertsSortKernel(experts: number): Kernel<SortShape> {
  if (experts > MOST_EXPERTS) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `experts: ${experts} are more than the ${MOST_EXPERTS} that can be sorted`,
    );
  }
  return {
    label: 'experts-sort',
    key: `experts-sort ${experts}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'indices', access: 'read', element: 'i32' },
      { name: 'list', access: 'write', element: 'u32' },
      { name: 'tiles', access: 'write', element: 'u32' },
    ],
    uniforms: [
      { name: 'slots', type: 'u32' },
      { name: 'most_tiles', type: 'u32' },
    ],
    dispatch: (shape) => [shape.experts, 1, 1],
    code: /* wgsl */ `
const EXPERTS = ${experts}u;
const THREADS = ${THREADS}u;
const TILE = ${TILE_SLOTS}u;

var<workgroup> counts: array<atomic<u32>, EXPERTS>;
var<workgroup> before: array<u32, THREADS>;
var<workgroup> tiles_before: array<u32, THREADS>;

fn tiles_of(count: u32) -> u32 { return (count + TILE - 1u) / TILE; }

@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let expert = workgroup.x;
  for (var slot = lane; slot < uniforms.slots; slot += THREADS) {
    let chosen = u32(indices[slot]);
    if (chosen < EXPERTS) { atomicAdd(&counts[chosen], 1u); }
  }
  workgroupBarrier();

  // Slots and tiles of the experts before this one.
  var slots_sum = 0u;
  var tiles_sum = 0u;
  for (var other = lane; other < expert; other += THREADS) {
    let count = atomicLoad(&counts[other]);
    slots_sum += count;
    tiles_sum += tiles_of(count);
  }
  before[lane] = slots_sum;
  tiles_before[lane] = tiles_sum;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      before[lane] += before[lane + half];
      tiles_before[lane] += tiles_before[lane + half];
    }
  }
  workgroupBarrier();
  let start = before[0];
  let first_tile = tiles_before[0];
  let count = atomicLoad(&counts[expert]);
  workgroupBarrier();

  for (var i = lane; i < tiles_of(count); i += THREADS) {
    let to = (first_tile + i) * 3u;
    tiles[to] = expert;
    tiles[to + 1u] = start + i * TILE;
    tiles[to + 2u] = min(TILE, count - i * TILE);
  }
  if (expert == EXPERTS - 1u) {
    for (var i = (first_tile + tiles_of(count)) * 3u + lane; i < uniforms.most_tiles * 3u; i += THREADS) { tiles[i] = 0u; }
  }

  // Each thread looks through a run of slots; where its own go follows from what the threads before it found.
  let run = (uniforms.slots + THREADS - 1u) / THREADS;
  let run_start = min(lane * run, uniforms.slots);
  let run_end = min(run_start + run, uniforms.slots);
  var found = 0u;
  for (var slot = run_start; slot < run_end; slot++) { found += u32(u32(indices[slot]) == expert); }
  before[lane] = found;
  for (var reach = 1u; reach < THREADS; reach *= 2u) {
    workgroupBarrier();
    var more = 0u;
    if (lane >= reach) { more = before[lane - reach]; }
    workgroupBarrier();
    before[lane] += more;
  }
  var to = start + before[lane] - found;
  for (var slot = run_start; slot < run_end; slot++) {
    if (u32(indices[slot]) == expert) {
      list[to] = slot;
      to++;
    }
  }
}
`,
  };
}
