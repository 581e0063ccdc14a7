/**
 * The router of DeepSeek's mixtures of experts, whole: scores, correction bias, groups, choice, weights, in one dispatch
 * and without a word to the host. One workgroup decides for one token.
 *
 * Experts are chosen by rank: each thread counts, for its expert, how many go before it. That is n comparisons for each
 * of n experts, all of them in parallel and without a barrier, where taking the best k times would need k reductions.
 * Scores are compared as integers (`sampling-order.ts`), and equal ones by their place, so every expert has one rank:
 * indices are distinct and in range whatever the logits are.
 *
 * The product with the router's weight is not part of it: it must be spread over the whole device (7 MB for
 * DeepSeek-V3), while the choice needs all logits of a token in one place.
 *
 * Source: DeepSeek-V3 report, section 2.1.2; `Gate.forward` in DeepSeek's inference/model.py; `route` in the contract.
 */
import { MarianaError, type RoutingOptions } from '@mariana/core';
import type { Kernel, KernelBinding } from './kernel.ts';
import { SORT_KEY } from './sampling-order.ts';

/** What is baked into the text of a router. */
export interface RouterConfig {
  /** Number of routed experts (`n_routed_experts`). */
  readonly experts: number;
  /** Whether a bias is added to the scores for the choice (`e_score_correction_bias`). */
  readonly biased: boolean;
  readonly options: RoutingOptions;
  /**
   * Experts that every token takes with weight 1, numbered after the routed ones and listed after the chosen ones: with
   * them, shared experts that lie behind the routed ones in memory need no dispatches of their own. Default 0.
   */
  readonly always?: number;
  /** Whether experts and weights are written side by side, into `choice`, as the fused experts take them. Default false. */
  readonly packed?: boolean;
}

export interface RouterShape {
  readonly tokens: number;
}

const THREADS = 256;
/** Workgroups along x; further tokens go along y. */
const ROW_OF_WORKGROUPS = 32768;
/** `maxComputeWorkgroupStorageSize` of every device. */
const WORKGROUP_BYTES = 16384;

/** Whether the router's tables fit the memory that a workgroup has on every device: some 3,800 experts do. */
export function routerFits({ experts, options }: Pick<RouterConfig, 'experts' | 'options'>): boolean {
  return 4 * (experts + THREADS + 2 * options.groups + options.topK) <= WORKGROUP_BYTES;
}

/**
 * The router kernel.
 *
 * - `logits`: F32 [tokens, experts]. `bias`: F32 [experts], only if `biased`.
 * - `indices`: I32 [tokens, topK + always], best first, of equal ones the lower index; then experts, experts + 1, ...
 * - `weights`: F32, of the same shape. `scores`: F32 [tokens, experts], without the bias.
 * - If `packed`, instead of `indices` and `weights`, `choice`: I32 [tokens, topK + always, 2], each index with the bits of
 *   its weight.
 *
 * Accuracy: a sigmoid is 1 / (1 + e) or e / (1 + e) with e = exp(-|x|), so nothing overflows; its error is that of
 * `exp` (3 + 2 |x| ulps in WGSL) where x < 0, and vanishes with e where x > 0, plus one addition and one division (2.5
 * ulps). Softmax sums experts in a fixed order; weights are sums, quotients and products of scores in the order of the
 * contract's default. Choices can differ from another backend's only where two biased scores lie closer than that.
 *
 * A NaN among the logits ranks first: it is chosen, and its score and weight are NaN. What is made of the other logits
 * of that token is up to the device.
 *
 * @throws MarianaError `INVALID_ARGUMENT` if the experts do not fit (`routerFits`).
 */
export function routerKernel(config: RouterConfig): Kernel<RouterShape> {
  const { experts, biased, options, always = 0, packed = false } = config;
  if (!routerFits(config)) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `router: ${experts} experts do not fit the memory of a workgroup; route them with the primitives`,
    );
  }
  const { scoring, topK, groups, topGroups, groupScore, normalize, scale } = options;
  const key = [experts, biased, scoring, topK, groups, topGroups, groupScore, normalize, scale, always, packed].join(
    ' ',
  );
  return {
    label: 'router',
    key: `router ${key}`,
    code: routerCode(config),
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'logits', access: 'read', element: 'f32' },
      ...(biased ? [{ name: 'bias', access: 'read', element: 'f32' } satisfies KernelBinding] : []),
      ...(packed ? PACKED : SEPARATE),
      { name: 'scores', access: 'write', element: 'f32' },
    ],
    uniforms: [{ name: 'tokens', type: 'u32' }],
    dispatch: ({ tokens }) => [Math.min(tokens, ROW_OF_WORKGROUPS), Math.ceil(tokens / ROW_OF_WORKGROUPS), 1],
  };
}

const PACKED: readonly KernelBinding[] = [{ name: 'choice', access: 'write', element: 'i32' }];
const SEPARATE: readonly KernelBinding[] = [
  { name: 'indices', access: 'write', element: 'i32' },
  { name: 'weights', access: 'write', element: 'f32' },
];

/** WGSL: where an expert and its weight go, by their slot. */
const PUT_PACKED = /* wgsl */ `
fn put_expert(slot: u32, expert: u32) { choice[2u * slot] = i32(expert); }
fn put_weight(slot: u32, weight: f32) { choice[2u * slot + 1u] = bitcast<i32>(weight); }
`;
const PUT_SEPARATE = /* wgsl */ `
fn put_expert(slot: u32, expert: u32) { indices[slot] = i32(expert); }
fn put_weight(slot: u32, weight: f32) { weights[slot] = weight; }
`;

function routerCode({ experts, biased, options, always = 0, packed = false }: RouterConfig): string {
  const { topK, groups, normalize } = options;
  return /* wgsl */ `${SORT_KEY}${packed ? PUT_PACKED : PUT_SEPARATE}
const EXPERTS = ${experts}u;
const TOP_K = ${topK}u;
const ALWAYS = ${always}u;
const SLOTS = ${topK + always}u;
const THREADS = ${THREADS}u;
const NOT_A_NUMBER = 0xffffffffu;

var<workgroup> keys: array<u32, ${experts}>;
var<workgroup> chosen: array<f32, ${topK}>;
var<workgroup> partial: array<f32, ${THREADS}>;
${groups > 1 ? GROUP_TABLES(options) : ''}
${options.scoring === 'sigmoid' ? SIGMOID : SOFTMAX}

@compute @workgroup_size(${THREADS})
fn main(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
) {
  let token = workgroup.x + workgroup.y * workgroups.x;
  if (token >= uniforms.tokens) { return; }
  let row = token * EXPERTS;

  var score: array<f32, ${Math.ceil(experts / THREADS)}>;
  ${options.scoring === 'softmax' ? 'let shift = row_max(row, lane);\n  let total = row_sum(row, lane, shift);' : ''}
  for (var i = 0u; i * THREADS + lane < EXPERTS; i++) {
    let expert = i * THREADS + lane;
    var value = ${options.scoring === 'softmax' ? 'exp(logits[row + expert] - shift) / total' : 'sigmoid(logits[row + expert])'};
    // A device may take it that there is no NaN, so what becomes of one is not left to its arithmetic.
    let logit = bitcast<u32>(logits[row + expert]);
    if ((logit & 0x7fffffffu) > 0x7f800000u) { value = logits[row + expert]; }
    score[i] = value;
    scores[row + expert] = value;
    keys[expert] = sort_key(bitcast<u32>(value${biased ? ' + bias[expert]' : ''}));
    if ((logit & 0x7fffffffu) > 0x7f800000u) { keys[expert] = NOT_A_NUMBER; }
  }
  workgroupBarrier();
  ${groups > 1 ? 'mask_groups(lane);' : ''}

  for (var i = 0u; i * THREADS + lane < EXPERTS; i++) {
    let expert = i * THREADS + lane;
    let own = keys[expert];
    var rank = 0u;
    for (var other = 0u; other < EXPERTS; other++) {
      rank += u32(keys[other] > own || (keys[other] == own && other < expert));
    }
    if (rank < TOP_K) {
      put_expert(token * SLOTS + rank, expert);
      chosen[rank] = score[i];
    }
  }
  workgroupBarrier();

  for (var slot = lane; slot < SLOTS; slot += THREADS) {
    if (slot >= TOP_K) {
      put_expert(token * SLOTS + slot, EXPERTS + slot - TOP_K);
      put_weight(token * SLOTS + slot, 1.0);
      continue;
    }
    var weight = chosen[slot];
    ${normalize ? NORMALIZE : ''}
    put_weight(token * SLOTS + slot, weight * ${float(options.scale)});
  }
}
`;
}

/** A number as WGSL writes an f32. */
function float(x: number): string {
  return `bitcast<f32>(${new Uint32Array(Float32Array.of(x).buffer)[0]}u)`;
}

/** 1e-20 keeps a row of zeros finite, as in the checkpoints' own code. */
const NORMALIZE = /* wgsl */ `var sum = 0.0;
    for (var other = 0u; other < TOP_K; other++) { sum += chosen[other]; }
    weight /= sum + 1e-20;`;

const SIGMOID = /* wgsl */ `
fn sigmoid(x: f32) -> f32 {
  let e = exp(-abs(x));
  return select(1.0, e, x < 0.0) / (1.0 + e);
}
`;

const SOFTMAX = /* wgsl */ `
fn row_max(row: u32, lane: u32) -> f32 {
  var most = -3.4028234e38;
  for (var expert = lane; expert < EXPERTS; expert += THREADS) { most = max(most, logits[row + expert]); }
  partial[lane] = most;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { partial[lane] = max(partial[lane], partial[lane + half]); }
  }
  workgroupBarrier();
  let result = partial[0];
  workgroupBarrier();
  return result;
}

fn row_sum(row: u32, lane: u32, shift: f32) -> f32 {
  var sum = 0.0;
  for (var expert = lane; expert < EXPERTS; expert += THREADS) { sum += exp(logits[row + expert] - shift); }
  partial[lane] = sum;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { partial[lane] += partial[lane + half]; }
  }
  workgroupBarrier();
  return partial[0];
}
`;

/** Groups are ranked as experts are; the members of those that are not kept rank as minus infinity, behind all others. */
const GROUP_TABLES = ({ groups, topGroups, groupScore }: RoutingOptions): string => /* wgsl */ `
const GROUPS = ${groups}u;
const GROUP_SIZE = EXPERTS / GROUPS;
const MASKED = 0x007fffffu;

var<workgroup> group_keys: array<u32, ${groups}>;
var<workgroup> kept: array<u32, ${groups}>;

fn mask_groups(lane: u32) {
  for (var group = lane; group < GROUPS; group += THREADS) {
    var best = 0u;
    var second = 0u;
    for (var i = 0u; i < GROUP_SIZE; i++) {
      let key = keys[group * GROUP_SIZE + i];
      second = max(second, min(best, key));
      best = max(best, key);
    }
    ${
      groupScore === 'top2'
        ? 'if (GROUP_SIZE > 1u) { best = sort_key(bitcast<u32>(bitcast<f32>(unsorted(best)) + bitcast<f32>(unsorted(second)))); }'
        : ''
    }
    group_keys[group] = best;
  }
  workgroupBarrier();
  for (var group = lane; group < GROUPS; group += THREADS) {
    let own = group_keys[group];
    var rank = 0u;
    for (var other = 0u; other < GROUPS; other++) {
      rank += u32(group_keys[other] > own || (group_keys[other] == own && other < group));
    }
    kept[group] = u32(rank < ${topGroups}u);
  }
  workgroupBarrier();
  for (var expert = lane; expert < EXPERTS; expert += THREADS) {
    if (kept[expert / GROUP_SIZE] == 0u) { keys[expert] = MASKED; }
  }
  workgroupBarrier();
}
`;
