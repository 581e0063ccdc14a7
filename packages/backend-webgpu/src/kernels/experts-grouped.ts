/**
 * The routed experts for many tokens: tiled matrix products over slots that were grouped by expert on the device
 * (`experts-sort.ts`). Four dispatches: sort, gate and up with SwiGLU, down, and the sum over each token's experts. A
 * workgroup makes a tile of 32 slots by 32 rows; weights are decoded once for a tile, into the workgroup's memory.
 *
 * The products of a slot are summed in an order that does not depend on where the slot lies in its tile, and the sum over
 * experts follows the routing: results are the same bits each time.
 *
 * Source: `experts` in the contract; `MoE.forward` in DeepSeek's inference/model.py.
 */
import { downMatrix, type ExpertsConfig, gateMatrix } from './experts-decode.ts';
import { TILE_SLOTS } from './experts-sort.ts';
import {
  type ExpertMatrix,
  formatKey,
  matrixBindings,
  readMatrix,
  readRows,
  rowsBinding,
  SWIGLU,
} from './experts-weights.ts';
import { FORMAT_TEXTS } from './held-format.ts';
import type { Kernel } from './kernel.ts';

export interface GroupedShape {
  /** `mostTiles` of the routing. */
  readonly tiles: number;
}

const THREADS = 64;
/** Rows of a tile, and inputs that are taken at a time. */
const TILE = 32;

/** WGSL: finds the tile of a workgroup, and brings 32 inputs of its slots and rows into memory of the workgroup. */
function tileCode(
  input: string,
  inputs: number,
  rowOf: string,
  matrices: readonly string[],
  matrix: ExpertMatrix,
): string {
  const { inputs: numbers } = FORMAT_TEXTS[matrix.weights.format];
  const vectors = Math.ceil(inputs / numbers);
  const perStep = TILE / numbers;
  const load = (name: string) => /* wgsl */ `
    for (var i = lane; i < ${TILE * perStep}u; i += ${THREADS}u) {
      let n = i % ${TILE}u;
      let v = i / ${TILE}u;
      let row = min(first_row + n, OUT - 1u);
      let vector = base / ${numbers}u + v;
      var values = ${name}_Vector();
      var scale = 0.0;
      if (vector < ${vectors}u) {
        values = ${name}_vector(expert * OUT + row, vector);
        scale = ${name}_scale(expert, row, vector);
      }
      for (var q = 0u; q < ${numbers / 4}u; q++) {
        let scaled = values[q] * scale;
        let to = (v * ${numbers}u + q * 4u) * ${TILE}u + n;
        ${name}_tile[to] = scaled.x;
        ${name}_tile[to + ${TILE}u] = scaled.y;
        ${name}_tile[to + ${2 * TILE}u] = scaled.z;
        ${name}_tile[to + ${3 * TILE}u] = scaled.w;
      }
    }`;
  const own = (name: string) => /* wgsl */ `
      for (var j = 0u; j < 4u; j++) {
        let w = ${name}_tile[k * ${TILE}u + tile_row + j];
        for (var i = 0u; i < 4u; i++) { ${name}_sums[i * 4u + j] += given[i] * w; }
      }`;
  return /* wgsl */ `
const OUT = ${matrix.out}u;
const INPUTS = ${inputs}u;

// [input][slot] and [input][row].
var<workgroup> given_tile: array<f32, ${TILE * TILE_SLOTS}>;
${matrices.map((name) => `var<workgroup> ${name}_tile: array<f32, ${TILE * TILE}>;`).join('\n')}

@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let first_row = workgroup.x * ${TILE}u;
  let start = tiles[workgroup.y * 3u + 1u];
  let count = tiles[workgroup.y * 3u + 2u];
  let expert = tiles[workgroup.y * 3u] - uniforms.first_expert;
  if (count == 0u || expert >= uniforms.experts) { return; }
  let tile_slot = lane / 8u * 4u;
  let tile_row = lane % 8u * 4u;
  ${matrices.map((name) => `var ${name}_sums = array<f32, 16>();`).join('\n  ')}
  for (var base = 0u; base < INPUTS; base += ${TILE}u) {
    for (var i = lane; i < ${TILE_SLOTS * (TILE / 4)}u; i += ${THREADS}u) {
      let m = i % ${TILE_SLOTS}u;
      let quad = i / ${TILE_SLOTS}u;
      let slot = list[start + min(m, count - 1u)];
      let values = ${input}_quad(${rowOf}, base / 4u + quad);
      let to = quad * 4u * ${TILE_SLOTS}u + m;
      given_tile[to] = values.x;
      given_tile[to + ${TILE_SLOTS}u] = values.y;
      given_tile[to + ${2 * TILE_SLOTS}u] = values.z;
      given_tile[to + ${3 * TILE_SLOTS}u] = values.w;
    }${matrices.map(load).join('')}
    workgroupBarrier();
    for (var k = 0u; k < ${TILE}u; k++) {
      var given = array<f32, 4>();
      for (var i = 0u; i < 4u; i++) { given[i] = given_tile[k * ${TILE_SLOTS}u + tile_slot + i]; }${matrices.map(own).join('')}
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < 4u; i++) {
    if (tile_slot + i >= count) { break; }
    let slot = list[start + tile_slot + i];
    for (var j = 0u; j < 4u; j++) {
      let row = first_row + tile_row + j;
      if (row >= OUT) { break; }
      store(slot, row, ${matrices.map((name) => `${name}_sums[i * 4u + j]`).join(', ')});
    }
  }
}
`;
}

/**
 * silu(gate x) * (up x) for each slot.
 *
 * - `x`: F32 [tokens, hidden]. `list`, `tiles`: of `expertsSortKernel`.
 * - `gate`, `up` (and `gate_scales`, `up_scales`): rows of the experts from `first_expert` on.
 * - `inner`: F32 [slots, width]. Slots of experts that are not in these buffers are left as they are.
 *
 * Uniforms: `per_token`, `first_expert`, `experts` (in these buffers). At most 65,535 tiles.
 *
 * Accuracy as of `expertsGateUpKernel`; a code is multiplied by its scale first: (hidden + 2) u all the same.
 */
export function groupedGateUpKernel(config: ExpertsConfig): Kernel<GroupedShape> {
  const matrix = gateMatrix(config);
  return {
    label: 'experts-grouped-gate-up',
    key: `experts-grouped-gate-up ${formatKey(config.weights)} ${config.hidden} ${config.width}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      rowsBinding('x', config.hidden),
      { name: 'list', access: 'read', element: 'u32' },
      { name: 'tiles', access: 'read', element: 'u32' },
      ...matrixBindings('gate', matrix),
      ...matrixBindings('up', matrix),
      { name: 'inner', access: 'write', element: 'f32' },
    ],
    uniforms: [
      { name: 'per_token', type: 'u32' },
      { name: 'first_expert', type: 'u32' },
      { name: 'experts', type: 'u32' },
    ],
    dispatch: ({ tiles }) => [Math.ceil(config.width / TILE), tiles, 1],
    code: /* wgsl */ `${FORMAT_TEXTS[config.weights.format].helpers}${readRows('x', config.hidden)}
${readMatrix('gate', matrix)}${readMatrix('up', matrix)}${SWIGLU}
fn store(slot: u32, row: u32, gate_sum: f32, up_sum: f32) { inner[slot * OUT + row] = swiglu(gate_sum, up_sum); }
${tileCode('x', config.hidden, 'slot / uniforms.per_token', ['gate', 'up'], matrix)}`,
  };
}

/**
 * weight * down * inner for each slot.
 *
 * - `inner`: F32 [slots, width]. `list`, `tiles`: of `expertsSortKernel`. `weights`: F32 [slots].
 * - `down` (and `down_scales`): rows of the experts from `first_expert` on.
 * - `shares`: F32 [slots, hidden]. Slots of experts that are not in these buffers are left as they are.
 *
 * Uniforms: `first_expert`, `experts`.
 */
export function groupedDownKernel(config: ExpertsConfig): Kernel<GroupedShape> {
  const matrix = downMatrix(config);
  return {
    label: 'experts-grouped-down',
    key: `experts-grouped-down ${formatKey(config.weights)} ${config.hidden} ${config.width}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      rowsBinding('inner', config.width),
      { name: 'list', access: 'read', element: 'u32' },
      { name: 'tiles', access: 'read', element: 'u32' },
      { name: 'weights', access: 'read', element: 'f32' },
      ...matrixBindings('down', matrix),
      { name: 'shares', access: 'write', element: 'f32' },
    ],
    uniforms: [
      { name: 'first_expert', type: 'u32' },
      { name: 'experts', type: 'u32' },
    ],
    dispatch: ({ tiles }) => [Math.ceil(config.hidden / TILE), tiles, 1],
    code: /* wgsl */ `${FORMAT_TEXTS[config.weights.format].helpers}${readRows('inner', config.width)}
${readMatrix('down', matrix)}
fn store(slot: u32, row: u32, sum: f32) { shares[slot * OUT + row] = weights[slot] * sum; }
${tileCode('inner', config.width, 'slot', ['down'], matrix)}`,
  };
}

export interface SumShape {
  readonly tokens: number;
}

/**
 * The sum of a token's shares, in the order of its experts.
 *
 * - `shares`: F32 [tokens, perToken, hidden]. `indices`: I32 [tokens, perToken]: shares of experts that do not exist are
 *   left out.
 * - `result`: F32 [tokens, hidden]; if `add` is not 0 the sum is added to what is there.
 *
 * Uniforms: `per_token`, `experts` (of the layer), `add`. tokens at most 65,535.
 */
export function groupedSumKernel({ hidden }: Pick<ExpertsConfig, 'hidden'>): Kernel<SumShape> {
  return {
    label: 'experts-grouped-sum',
    key: `experts-grouped-sum ${hidden}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'shares', access: 'read', element: 'f32' },
      { name: 'indices', access: 'read', element: 'i32' },
      { name: 'result', access: 'read-write', element: 'f32' },
    ],
    uniforms: [
      { name: 'per_token', type: 'u32' },
      { name: 'experts', type: 'u32' },
      { name: 'add', type: 'u32' },
    ],
    dispatch: ({ tokens }) => [Math.ceil(hidden / THREADS), tokens, 1],
    code: /* wgsl */ `
const HIDDEN = ${hidden}u;

@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let column = workgroup.x * ${THREADS}u + lane;
  if (column >= HIDDEN) { return; }
  let token = workgroup.y;
  var sum = 0.0;
  if (uniforms.add != 0u) { sum = result[token * HIDDEN + column]; }
  for (var slot = token * uniforms.per_token; slot < (token + 1u) * uniforms.per_token; slot++) {
    if (u32(indices[slot]) < uniforms.experts) { sum += shares[slot * HIDDEN + column]; }
  }
  result[token * HIDDEN + column] = sum;
}
`,
  };
}
