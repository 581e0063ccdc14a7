/**
 * The heart of both attention kernels: softmax(q k^T * scale) v for a tile of query rows, over keys that are read once
 * in tiles, with the softmax kept up to date as they go by (M. Milakov and N. Gimelshein, "Online normalizer calculation
 * for softmax", 2018; T. Dao et al., "FlashAttention", 2022). Scores never leave the workgroup.
 *
 * A workgroup of 256 threads holds 16 query rows and takes 32 keys at a time:
 * 1. Scores: a thread makes a square of 4 queries by 4 keys over an eighth of the width, neighbours reading neighbouring
 *    vectors; eight loads of a vector bring 64 multiply-adds. The eighths are added up in memory of the workgroup.
 * 2. Softmax: 16 threads for a row, each with two keys.
 * 3. Values: a thread owns some columns of the result in registers, for all rows where the width allows it, so that each
 *    value is loaded once for many rows.
 * Everything is summed in an order that shapes alone decide: results are the same bits each time.
 */

/** Query rows of a workgroup. */
export const TILE_ROWS = 16;
/** Keys that are taken at a time. */
export const TILE_KEYS = 32;
export const ATTENTION_THREADS = 256;

/**
 * Below every score, and so far from overflow that differences with it are finite: where running maxima start. Scores
 * under it count as it.
 */
const FLOOR = '-1e38';

/** What a kernel tells the generator. Widths are in units: elements of the buffers, vectors of four or single numbers. */
export interface AttentionTiles {
  readonly element: 'vec4<f32>' | 'f32';
  /** Units of a query and of a key. */
  readonly units: number;
  /** Units of a value and of a result; may be 0. */
  readonly valueUnits: number;
  /**
   * WGSL of functions:
   * - `fn row_count() -> u32`, the rows that there are; a tile's first row is `workgroup.x * 16`.
   * - `fn key_range(workgroup: vec3<u32>, last_row: u32) -> vec2<u32>`, the first key for this workgroup and the one
   *   after its last; `fn visible_keys(row: u32) -> u32`.
   * - `fn query_at(workgroup: vec3<u32>, row: u32) -> u32` and `fn key_at(workgroup: vec3<u32>, token: u32) -> vec2<u32>`
   *   (of key and value): where they start, in units.
   * - `fn finish(workgroup: vec3<u32>, row: u32, unit: u32, sum: Unit, most: f32, total: f32)`, which writes a unit of a
   *   row; the result is sum / total.
   */
  readonly places: string;
  /** The names of the buffers. */
  readonly buffers: { readonly query: string; readonly key: string; readonly value: string };
}

/** The text of a kernel from these pieces. It reads `uniforms.scale`. */
export function attentionCode({ element, units, valueUnits, places, buffers }: AttentionTiles): string {
  const product = element === 'f32' ? 'a * b' : 'dot(a, b)';
  // As many groups of threads as find columns to own; each group takes its share of the rows.
  let groups = 1;
  while (groups < TILE_ROWS && valueUnits * groups * 2 <= ATTENTION_THREADS) groups *= 2;
  const columns = ATTENTION_THREADS / groups;
  const owned = Math.max(1, Math.ceil(valueUnits / columns));
  return /* wgsl */ `
alias Unit = ${element};
const UNITS = ${units}u;
const VALUE_UNITS = ${valueUnits}u;
const ROWS = ${TILE_ROWS}u;
const KEYS = ${TILE_KEYS}u;
const CELLS = ROWS * KEYS;
const FLOOR = ${FLOOR};
/** Threads that own the columns of a row, columns of each, and its rows. */
const COLUMNS = ${columns}u;
const OWNED = ${owned}u;
const OWN_ROWS = ${TILE_ROWS / groups}u;

var<workgroup> key_places: array<vec2<u32>, KEYS>;
var<workgroup> partial: array<f32, ${4 * TILE_ROWS * TILE_KEYS}>;
var<workgroup> scores: array<f32, CELLS>; // [row][key]
var<workgroup> shares: array<f32, CELLS>; // [key][row]
var<workgroup> corrections: array<f32, ROWS>;
var<workgroup> maxima: array<f32, ROWS>;
var<workgroup> totals: array<f32, ROWS>;

fn product(a: Unit, b: Unit) -> f32 { return ${product}; }
${places}

@compute @workgroup_size(${ATTENTION_THREADS})
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let first_row = workgroup.x * ROWS;
  let last_row = min(first_row + ROWS, row_count()) - 1u;
  let range = key_range(workgroup, last_row);

  // This thread's part of the scores,
  let slice = lane % 8u;
  let tile_row = (lane / 8u) % 4u * 4u;
  let tile_key = lane / 32u * 4u;
  var query_places: array<u32, 4>;
  for (var i = 0u; i < 4u; i++) { query_places[i] = query_at(workgroup, min(first_row + tile_row + i, last_row)); }
  // of the softmax,
  let row = lane / 16u;
  let visible = min(range.y, visible_keys(min(first_row + row, last_row)));
  var most = FLOOR;
  var total = 0.0;
  // and of the result.
  let column = lane % COLUMNS;
  let own_row = lane / COLUMNS * OWN_ROWS;
  var sums: array<Unit, OWNED * OWN_ROWS>;

  for (var base = range.x; base < range.y; base += KEYS) {
    if (lane < KEYS) { key_places[lane] = key_at(workgroup, min(base + lane, range.y - 1u)); }
    workgroupBarrier();

    // Zeros are spelled out: without, Dawn was seen to keep the sums of the round before.
    var cell = array<f32, 16>();
    for (var unit = slice; unit < UNITS; unit += 8u) {
      let k0 = ${buffers.key}[key_places[tile_key].x + unit];
      let k1 = ${buffers.key}[key_places[tile_key + 1u].x + unit];
      let k2 = ${buffers.key}[key_places[tile_key + 2u].x + unit];
      let k3 = ${buffers.key}[key_places[tile_key + 3u].x + unit];
      for (var i = 0u; i < 4u; i++) {
        let q = ${buffers.query}[query_places[i] + unit];
        cell[i * 4u] += product(q, k0);
        cell[i * 4u + 1u] += product(q, k1);
        cell[i * 4u + 2u] += product(q, k2);
        cell[i * 4u + 3u] += product(q, k3);
      }
    }
    let corner = (slice % 4u) * CELLS + tile_row * KEYS + tile_key;
    if (slice >= 4u) {
      for (var i = 0u; i < 16u; i++) { partial[corner + i / 4u * KEYS + i % 4u] = cell[i]; }
    }
    workgroupBarrier();
    if (slice < 4u) {
      for (var i = 0u; i < 16u; i++) { partial[corner + i / 4u * KEYS + i % 4u] += cell[i]; }
    }
    workgroupBarrier();

    for (var key = lane % 16u; key < KEYS; key += 16u) {
      let at = row * KEYS + key;
      let sum = (partial[at] + partial[CELLS + at]) + (partial[2u * CELLS + at] + partial[3u * CELLS + at]);
      scores[at] = select(FLOOR, sum * uniforms.scale, base + key < visible);
    }
    workgroupBarrier();

    let before = most;
    for (var key = 0u; key < KEYS; key++) { most = max(most, scores[row * KEYS + key]); }
    let correction = exp(before - most);
    for (var key = lane % 16u; key < KEYS; key += 16u) {
      shares[key * ROWS + row] = select(0.0, exp(scores[row * KEYS + key] - most), base + key < visible);
    }
    if (lane % 16u == 0u) { corrections[row] = correction; }
    workgroupBarrier();

    total *= correction;
    for (var key = 0u; key < KEYS; key++) { total += shares[key * ROWS + row]; }
    for (var i = 0u; i < OWNED; i++) {
      let unit = column + i * COLUMNS;
      if (unit >= VALUE_UNITS) { break; }
      for (var r = 0u; r < OWN_ROWS; r++) { sums[i * OWN_ROWS + r] *= corrections[own_row + r]; }
      for (var key = 0u; key < min(KEYS, range.y - base); key++) {
        let value = ${buffers.value}[key_places[key].y + unit];
        for (var r = 0u; r < OWN_ROWS; r++) {
          sums[i * OWN_ROWS + r] += shares[key * ROWS + own_row + r] * value;
        }
      }
    }
    workgroupBarrier();
  }

  if (lane % 16u == 0u) {
    maxima[row] = most;
    totals[row] = total;
  }
  workgroupBarrier();
  for (var r = 0u; r < OWN_ROWS; r++) {
    let result_row = first_row + own_row + r;
    if (result_row > last_row) { break; }
    for (var i = 0u; i < OWNED; i++) {
      let unit = column + i * COLUMNS;
      if (unit >= VALUE_UNITS) { break; }
      finish(workgroup, result_row, unit, sums[i * OWN_ROWS + r], maxima[own_row + r], totals[own_row + r]);
    }
  }
}
`;
}
