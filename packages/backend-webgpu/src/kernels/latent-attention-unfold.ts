/**
 * Takes the results of absorbed attention out of the latent space: the splits of a long context are put together and
 * multiplied by the head's own matrix, in one dispatch. Where there is one split it is divided all the same, so that
 * decoding takes two dispatches for attention whatever its context.
 *
 * Source: `MLA.forward` (the absorbed branch) in DeepSeek's inference/model.py; DeepSeek-V2 paper, section 2.1.2.
 */
import { type ExpertFormat, formatKey, matrixBindings, readMatrix } from './experts-weights.ts';
import { FORMAT_TEXTS } from './held-format.ts';
import type { Kernel } from './kernel.ts';

/** What is baked into the text. */
export interface LatentUnfoldConfig {
  /** `kv_lora_rank`; at most 3,072, which is what a workgroup holds. */
  readonly latent: number;
  /** `v_head_dim`. */
  readonly value: number;
  /** How the matrix is held, in one buffer. */
  readonly weights: ExpertFormat;
}

export interface LatentUnfoldShape {
  readonly tokens: number;
  readonly heads: number;
}

const THREADS = 256;
/** Threads that share a row of the matrix. */
const LANES = 8;
/** Rows of a workgroup: many, since each workgroup of a head puts its splits together for itself. */
const ROWS = 64;

/**
 * The unfolding kernel.
 *
 * - `partial`: F32 [splits, tokens * heads, latent], and `stats`: F32 [splits, tokens * heads, 2], of
 *   `latentAttentionKernel` with `partial`.
 * - `value` (and `value_scales`): [heads * value, latent], the matrices of the heads one below the other.
 * - `result`: F32 [tokens, heads, value].
 *
 * Uniforms: `heads`, `rows` (tokens * heads), `splits`. heads and tokens at most 65,535.
 *
 * Accuracy: (latent + 2) u of the sum of magnitudes (u = 2^-24), on top of what attention and its splits err by.
 */
export function latentUnfoldKernel({ latent, value, weights }: LatentUnfoldConfig): Kernel<LatentUnfoldShape> {
  const matrix = { weights, out: value, inputs: latent };
  const { inputs: numbers, helpers } = FORMAT_TEXTS[weights.format];
  const vectors = Math.ceil(latent / numbers);
  return {
    label: 'latent-attention-unfold',
    key: `latent-attention-unfold ${latent} ${value} ${formatKey(weights)}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'partial', access: 'read', element: 'f32' },
      { name: 'stats', access: 'read', element: 'f32' },
      ...matrixBindings('value', matrix),
      { name: 'result', access: 'write', element: 'f32' },
    ],
    uniforms: [
      { name: 'heads', type: 'u32' },
      { name: 'rows', type: 'u32' },
      { name: 'splits', type: 'u32' },
    ],
    dispatch: ({ tokens, heads }) => [Math.ceil(value / ROWS), heads, tokens],
    code: /* wgsl */ `${helpers}${readMatrix('value', matrix)}
const LATENT = ${latent}u;
const VALUE = ${value}u;
const VECTORS = ${vectors}u;
const LANES = ${LANES}u;
const STEP = ${THREADS / LANES}u;

var<workgroup> given: array<f32, ${vectors * numbers}>;
var<workgroup> sums: array<f32, ${THREADS}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let head = workgroup.y;
  let row = workgroup.z * uniforms.heads + head;
  var most = stats[row * 2u];
  for (var split = 1u; split < uniforms.splits; split++) { most = max(most, stats[(split * uniforms.rows + row) * 2u]); }
  var total = 0.0;
  for (var split = 0u; split < uniforms.splits; split++) {
    let at = (split * uniforms.rows + row) * 2u;
    total += exp(stats[at] - most) * stats[at + 1u];
  }
  for (var i = lane; i < VECTORS * ${numbers}u; i += ${THREADS}u) {
    var sum = 0.0;
    for (var split = 0u; split < uniforms.splits && i < LATENT; split++) {
      let at = split * uniforms.rows + row;
      sum += exp(stats[at * 2u] - most) * partial[at * LATENT + i];
    }
    given[i] = sum / total;
  }
  workgroupBarrier();
  for (var step = 0u; step < ${ROWS}u; step += STEP) {
    let own = workgroup.x * ${ROWS}u + step + lane / LANES;
    let place = head * VALUE + min(own, VALUE - 1u);
    var sum = 0.0;
    for (var vector = lane % LANES; vector < VECTORS; vector += LANES) {
      var values = value_vector(place, vector);
      var part = 0.0;
      for (var q = 0u; q < ${numbers / 4}u; q++) {
        let at = vector * ${numbers}u + q * 4u;
        part += dot(values[q], vec4<f32>(given[at], given[at + 1u], given[at + 2u], given[at + 3u]));
      }
      sum += part * value_scale(0u, place, vector);
    }
    sums[lane] = sum;
    workgroupBarrier();
    if (lane % LANES == 0u && own < VALUE) {
      var all = 0.0;
      for (var k = 0u; k < LANES; k++) { all += sums[lane + k]; }
      result[row * VALUE + own] = all;
    }
    workgroupBarrier();
  }
}
`,
  };
}
