/**
 * The routed experts for a token or a few: two dispatches of matrix-vector products that take the choice of experts from
 * the router's own buffer. Nothing is grouped, read back or copied; each chosen expert's rows stream through once for
 * each token that chose it, which is as little as there is while tokens seldom meet in an expert.
 *
 * Where the experts of a layer do not fit one binding they lie in several buffers; each is given its run of both
 * kernels, and leaves alone what belongs to the others.
 *
 * Source: `experts` in the contract; `Expert.forward` and `MoE.forward` in DeepSeek's inference/model.py.
 */
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

/** Sizes of a layer's experts, all of one format. */
export interface ExpertsConfig {
  readonly weights: ExpertMatrix['weights'];
  /** `hidden_size`. */
  readonly hidden: number;
  /** `moe_intermediate_size`. */
  readonly width: number;
}

export interface DecodeShape {
  readonly tokens: number;
  /** Experts for each token. */
  readonly perToken: number;
}

/** How the products of gate and up take their operands. */
export interface GateUpOptions {
  /** Whether x is normed first: as in `normed-linear.ts`, squares are summed beside the products. Default false. */
  readonly normed?: boolean;
  /** Whether `indices` are the router's packed `choice`: each is followed by a word of something else. Default false. */
  readonly packed?: boolean;
}

/** Threads of a workgroup. */
export const THREADS = 64;
/** Rows of a workgroup: what is loaded of x serves them all. */
export const ROWS = 4;

/** The matrices gate and up, [width, hidden]. */
export const gateMatrix = ({ weights, hidden, width }: ExpertsConfig): ExpertMatrix => ({
  weights,
  out: width,
  inputs: hidden,
});

/** The matrix down, [hidden, width]. */
export const downMatrix = ({ weights, hidden, width }: ExpertsConfig): ExpertMatrix => ({
  weights,
  out: hidden,
  inputs: width,
});

/** Adds up `COUNT` sums of every thread: the total of sum i is in `partial[i * THREADS]` afterwards. */
export const addUp = (count: number) => /* wgsl */ `
var<workgroup> partial: array<f32, ${count * THREADS}>;

fn add_up(lane: u32) {
  for (var half = ${THREADS / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      for (var i = 0u; i < ${count}u; i++) { partial[i * ${THREADS}u + lane] += partial[i * ${THREADS}u + lane + half]; }
    }
  }
  workgroupBarrier();
}
`;

/** WGSL: the expert of a slot within this buffer; all ones if it is not in it. `indices` holds one each `stride` words. */
export const expertOf = (stride: 1 | 2) => /* wgsl */ `
fn expert_of(slot: u32) -> u32 {
  let expert = indices[slot * ${stride}u] - i32(uniforms.first_expert);
  return select(0xffffffffu, u32(expert), expert >= 0 && expert < i32(uniforms.experts));
}
`;

/**
 * silu(gate x) * (up x) for each slot: a token and one of its experts.
 *
 * - `x`: F32 [tokens, hidden]. `norm`: F32 [hidden], if `normed`.
 * - `indices`: I32 [tokens, perToken], or [tokens, perToken, 2] if `packed`.
 * - `gate`, `up` (and `gate_scales`, `up_scales`): rows of the experts from `first_expert` on.
 * - `inner`: from number `inner_start` on F32 [tokens * perToken, width]. Slots of experts that are not in these buffers
 *   are left as they are.
 *
 * Uniforms: `per_token`, `first_expert`, `experts` (in these buffers), `inner_start`, `epsilon` (if `normed`).
 * tokens * perToken at most 65,535.
 *
 * Accuracy: codes are decoded exactly; a product errs by (hidden + 2) u of the sum of its magnitudes (u = 2^-24) in
 * whatever order it is summed, silu by what `exp` errs (3 + 2 |x| ulps where x < 0), a division and three roundings. A
 * norm adds (hidden / 2 + 8) u.
 */
export function expertsGateUpKernel(
  config: ExpertsConfig,
  { normed = false, packed = false }: GateUpOptions = {},
): Kernel<DecodeShape> {
  const matrix = gateMatrix(config);
  const { inputs: numbers } = FORMAT_TEXTS[config.weights.format];
  const SUMS = 2 * ROWS + (normed ? 1 : 0);
  return {
    label: `${normed ? 'norm-' : ''}experts-gate-up`,
    key: `experts-gate-up ${formatKey(config.weights)} ${config.hidden} ${config.width} ${normed} ${packed}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      rowsBinding('x', config.hidden),
      ...(normed ? [rowsBinding('norm', config.hidden)] : []),
      { name: 'indices', access: 'read', element: 'i32' },
      ...matrixBindings('gate', matrix),
      ...matrixBindings('up', matrix),
      { name: 'inner', access: 'write', element: 'f32' },
    ],
    uniforms: [
      { name: 'per_token', type: 'u32' },
      { name: 'first_expert', type: 'u32' },
      { name: 'experts', type: 'u32' },
      { name: 'inner_start', type: 'u32' },
      ...(normed ? [{ name: 'epsilon', type: 'f32' } as const] : []),
    ],
    dispatch: ({ tokens, perToken }) => [Math.ceil(config.width / ROWS), tokens * perToken, 1],
    code: /* wgsl */ `${FORMAT_TEXTS[config.weights.format].helpers}${readRows('x', config.hidden)}${normed ? readRows('norm', config.hidden) : ''}
${readMatrix('gate', matrix)}${readMatrix('up', matrix)}${expertOf(packed ? 2 : 1)}${SWIGLU}${addUp(SUMS)}
const WIDTH = ${config.width}u;
const VECTORS = ${Math.ceil(config.hidden / numbers)}u;
const QUADS = ${numbers / 4}u;

@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let slot = workgroup.y;
  let expert = expert_of(slot);
  if (expert >= uniforms.experts) { return; }
  let token = slot / uniforms.per_token;
  var sums = array<f32, ${SUMS}>();
  for (var vector = lane; vector < VECTORS; vector += ${THREADS}u) {
    var given = gate_Vector();
    for (var q = 0u; q < QUADS; q++) {
      given[q] = x_quad(token, vector * QUADS + q);
${
  normed
    ? `      sums[${2 * ROWS}] += dot(given[q], given[q]);
      given[q] *= norm_quad(0u, vector * QUADS + q);`
    : ''
}
    }
    for (var r = 0u; r < ${ROWS}u; r++) {
      let row = min(workgroup.x * ${ROWS}u + r, WIDTH - 1u);
      var of_gate = gate_vector(expert * WIDTH + row, vector);
      var of_up = up_vector(expert * WIDTH + row, vector);
      var g = 0.0;
      var u = 0.0;
      for (var q = 0u; q < QUADS; q++) {
        g += dot(of_gate[q], given[q]);
        u += dot(of_up[q], given[q]);
      }
      sums[r] += g * gate_scale(expert, row, vector);
      sums[${ROWS}u + r] += u * up_scale(expert, row, vector);
    }
  }
  for (var i = 0u; i < ${SUMS}u; i++) { partial[i * ${THREADS}u + lane] = sums[i]; }
  add_up(lane);
  let row = workgroup.x * ${ROWS}u + lane;
  if (lane < ${ROWS}u && row < WIDTH) {
    let scale = ${normed ? `inverseSqrt(partial[${2 * ROWS * THREADS}] / f32(${config.hidden}) + uniforms.epsilon)` : '1.0'};
    let gate_sum = partial[lane * ${THREADS}u] * scale;
    let up_sum = partial[(${ROWS}u + lane) * ${THREADS}u] * scale;
    inner[uniforms.inner_start + slot * WIDTH + row] = swiglu(gate_sum, up_sum);
  }
}
`,
  };
}

/**
 * The weighted sum over a token's experts of down * inner.
 *
 * - `inner`: F32 [tokens * perToken, width]. `indices`, `weights`: [tokens, perToken].
 * - `down` (and `down_scales`): rows of the experts from `first_expert` on.
 * - `result`: F32 [tokens, hidden]; if `add` is not 0 the sum is added to what is there: a residual, the output of
 *   shared experts, the experts of another buffer.
 *
 * Uniforms: `per_token`, `first_expert`, `experts`, `add`. tokens at most 65,535.
 *
 * Accuracy: (perToken * width + 4) u of the sum of magnitudes, in an order that shapes alone decide.
 */
export function expertsDownKernel(config: ExpertsConfig): Kernel<DecodeShape> {
  const matrix = downMatrix(config);
  const { inputs: numbers } = FORMAT_TEXTS[config.weights.format];
  return {
    label: 'experts-down',
    key: `experts-down ${formatKey(config.weights)} ${config.hidden} ${config.width}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      rowsBinding('inner', config.width),
      { name: 'indices', access: 'read', element: 'i32' },
      { name: 'weights', access: 'read', element: 'f32' },
      ...matrixBindings('down', matrix),
      { name: 'result', access: 'read-write', element: 'f32' },
    ],
    uniforms: [
      { name: 'per_token', type: 'u32' },
      { name: 'first_expert', type: 'u32' },
      { name: 'experts', type: 'u32' },
      { name: 'add', type: 'u32' },
    ],
    dispatch: ({ tokens }) => [Math.ceil(config.hidden / ROWS), tokens, 1],
    code: /* wgsl */ `${FORMAT_TEXTS[config.weights.format].helpers}${readRows('inner', config.width)}
${readMatrix('down', matrix)}${expertOf(1)}${addUp(ROWS)}
const HIDDEN = ${config.hidden}u;
const VECTORS = ${Math.ceil(config.width / numbers)}u;
const QUADS = ${numbers / 4}u;

@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let token = workgroup.y;
  var sums = array<f32, ${ROWS}>();
  // Vectors of all experts in one row, so that short ones leave no thread idle.
  for (var i = lane; i < uniforms.per_token * VECTORS; i += ${THREADS}u) {
    let slot = token * uniforms.per_token + i / VECTORS;
    let vector = i % VECTORS;
    let expert = expert_of(slot);
    if (expert >= uniforms.experts) { continue; }
    let weight = weights[slot];
    var given = down_Vector();
    for (var q = 0u; q < QUADS; q++) { given[q] = inner_quad(slot, vector * QUADS + q); }
    for (var r = 0u; r < ${ROWS}u; r++) {
      let row = min(workgroup.x * ${ROWS}u + r, HIDDEN - 1u);
      var of_down = down_vector(expert * HIDDEN + row, vector);
      var sum = 0.0;
      for (var q = 0u; q < QUADS; q++) { sum += dot(of_down[q], given[q]); }
      sums[r] += sum * down_scale(expert, row, vector) * weight;
    }
  }
  for (var i = 0u; i < ${ROWS}u; i++) { partial[i * ${THREADS}u + lane] = sums[i]; }
  add_up(lane);
  let row = workgroup.x * ${ROWS}u + lane;
  if (lane < ${ROWS}u && row < HIDDEN) {
    let at = token * HIDDEN + row;
    result[at] = select(0.0, result[at], uniforms.add != 0u) + partial[lane * ${THREADS}u];
  }
}
`,
  };
}
