/**
 * The end of a mixture of experts for a token or a few: what routed and shared experts make of their inner values, each
 * with its weight, and the residual, added up in one dispatch. The inner values of both lie in one buffer and the choice
 * of experts comes with its weights (`packed` of `router.ts`), so that no more buffers are bound than every device takes.
 *
 * Source: `MoE.forward` and `Block.forward` in DeepSeek's inference/model.py.
 */
import { addUp, type DecodeShape, downMatrix, type ExpertsConfig, expertOf, ROWS, THREADS } from './experts-decode.ts';
import { type ExpertFormat, type ExpertMatrix, formatKey, matrixBindings, readMatrix } from './experts-weights.ts';
import { FORMAT_TEXTS } from './held-format.ts';
import type { Kernel } from './kernel.ts';

/** What is baked into the text. Both widths are multiples of 4. */
export interface MixtureConfig {
  readonly routed: ExpertsConfig;
  /** The shared experts as one feed-forward: the format of its matrix down, and its inner width. Null: there are none. */
  readonly shared: { readonly weights: ExpertFormat; readonly width: number } | null;
  /** Whether a residual is added. */
  readonly residual: boolean;
}

/**
 * The kernel.
 *
 * - `inner`: F32 [tokens * perToken, width] of the routed experts, and from number `shared_start` on [tokens, shared
 *   width] of the shared ones.
 * - `indices`: I32 [tokens, perToken, 2], each expert with the bits of its weight.
 * - `down` (and `down_scales`): rows of the experts from `first_expert` on. `shared_down` (and `shared_down_scales`):
 *   [hidden, shared width], if there are shared experts.
 * - `residual`: F32 [tokens, hidden], if there is one. `result`: F32 [tokens, hidden].
 *
 * Uniforms: `per_token`, `first_expert`, `experts` (in these buffers), `shared_start` (a multiple of 4). tokens at most
 * 65,535. Experts that are not in these buffers are left out: add them with `expertsDownKernel`.
 *
 * Accuracy: (perToken * width + shared width + 6) u of the sum of magnitudes (u = 2^-24), in an order that shapes alone
 * decide.
 */
export function expertsMixtureKernel({ routed, shared, residual }: MixtureConfig): Kernel<DecodeShape> {
  const matrix = downMatrix(routed);
  const sharedMatrix = shared && { weights: shared.weights, out: routed.hidden, inputs: shared.width };
  const { inputs: numbers, helpers } = FORMAT_TEXTS[routed.weights.format];
  const isOther = shared !== null && shared.weights.format !== routed.weights.format;
  const sharedHelpers = isOther ? FORMAT_TEXTS[shared.weights.format].helpers : '';
  const ofShared = shared === null ? 'none' : `${formatKey(shared.weights)} ${shared.width}`;
  return {
    label: 'experts-mixture',
    key: `experts-mixture ${formatKey(routed.weights)} ${routed.hidden} ${routed.width} ${ofShared} ${residual}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'inner', access: 'read', element: 'vec4<f32>' },
      { name: 'indices', access: 'read', element: 'i32' },
      ...matrixBindings('down', matrix),
      ...(sharedMatrix ? matrixBindings('shared_down', sharedMatrix) : []),
      ...(residual ? [{ name: 'residual', access: 'read', element: 'f32' } as const] : []),
      { name: 'result', access: 'write', element: 'f32' },
    ],
    uniforms: [
      { name: 'per_token', type: 'u32' },
      { name: 'first_expert', type: 'u32' },
      { name: 'experts', type: 'u32' },
      { name: 'shared_start', type: 'u32' },
    ],
    dispatch: ({ tokens }) => [Math.ceil(routed.hidden / ROWS), tokens, 1],
    code: /* wgsl */ `${helpers}${sharedHelpers}${readMatrix('down', matrix)}
${expertOf(2)}${addUp(ROWS)}
const HIDDEN = ${routed.hidden}u;
const INNER_QUADS = ${routed.width / 4}u;
const VECTORS = ${Math.ceil(routed.width / numbers)}u;
${sharedMatrix === null ? NO_SHARED : readShared(sharedMatrix)}

/** Four numbers of a row of \`inner\` that has \`quads\` of them and starts at \`start\`; zeros beyond its end. */
fn inner_quad(start: u32, quads: u32, quad: u32) -> vec4<f32> {
  if (quad >= quads) { return vec4<f32>(); }
  return inner[start + quad];
}

@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let token = workgroup.y;
  let routed = uniforms.per_token * VECTORS;
  var sums = array<f32, ${ROWS}>();
  // Vectors of all experts in one row, so that short ones leave no thread idle; behind them the shared ones.
  for (var i = lane; i < routed + SHARED_VECTORS; i += ${THREADS}u) {
    if (i >= routed) {
      let parts = shared_parts(token, workgroup.x, i - routed);
      for (var r = 0u; r < ${ROWS}u; r++) { sums[r] += parts[r]; }
      continue;
    }
    let slot = token * uniforms.per_token + i / VECTORS;
    let vector = i % VECTORS;
    let expert = expert_of(slot);
    if (expert >= uniforms.experts) { continue; }
    let weight = bitcast<f32>(indices[slot * 2u + 1u]);
    var given = down_Vector();
    for (var q = 0u; q < ${numbers / 4}u; q++) {
      given[q] = inner_quad(slot * INNER_QUADS, INNER_QUADS, vector * ${numbers / 4}u + q);
    }
    for (var r = 0u; r < ${ROWS}u; r++) {
      let row = min(workgroup.x * ${ROWS}u + r, HIDDEN - 1u);
      var of_down = down_vector(expert * HIDDEN + row, vector);
      var sum = 0.0;
      for (var q = 0u; q < ${numbers / 4}u; q++) { sum += dot(of_down[q], given[q]); }
      sums[r] += sum * down_scale(expert, row, vector) * weight;
    }
  }
  for (var i = 0u; i < ${ROWS}u; i++) { partial[i * ${THREADS}u + lane] = sums[i]; }
  add_up(lane);
  let row = workgroup.x * ${ROWS}u + lane;
  if (lane < ${ROWS}u && row < HIDDEN) {
    let at = token * HIDDEN + row;
    result[at] = ${residual ? 'residual[at] + ' : ''}partial[lane * ${THREADS}u];
  }
}
`,
  };
}

const NO_SHARED = /* wgsl */ `
const SHARED_VECTORS = 0u;
fn shared_parts(token: u32, group: u32, vector: u32) -> vec4<f32> { return vec4<f32>(); }
`;

/** WGSL: `shared_parts`, what a vector of the shared experts' matrix adds to each row of a workgroup. */
function readShared(matrix: ExpertMatrix): string {
  const numbers = FORMAT_TEXTS[matrix.weights.format].inputs;
  return /* wgsl */ `${readMatrix('shared_down', matrix)}
const SHARED_QUADS = ${matrix.inputs / 4}u;
const SHARED_VECTORS = ${Math.ceil(matrix.inputs / numbers)}u;
fn shared_parts(token: u32, group: u32, vector: u32) -> vec4<f32> {
  let start = uniforms.shared_start / 4u + token * SHARED_QUADS;
  var given = shared_down_Vector();
  for (var q = 0u; q < ${numbers / 4}u; q++) {
    given[q] = inner_quad(start, SHARED_QUADS, vector * ${numbers / 4}u + q);
  }
  var parts = vec4<f32>();
  for (var r = 0u; r < ${ROWS}u; r++) {
    let row = min(group * ${ROWS}u + r, HIDDEN - 1u);
    var of_down = shared_down_vector(row, vector);
    var sum = 0.0;
    for (var q = 0u; q < ${numbers / 4}u; q++) { sum += dot(of_down[q], given[q]); }
    parts[r] = sum * shared_down_scale(0u, row, vector);
  }
  return parts;
}
`;
}
