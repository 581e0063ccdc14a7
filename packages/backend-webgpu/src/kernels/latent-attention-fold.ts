/**
 * Makes the queries of absorbed attention: the part without position is folded into the latent space by the head's own
 * matrix, the part with it is rotated, and both are written side by side, as `latent-attention.ts` reads them. One
 * dispatch for what the contract's operations do in five: two slices, a rotation, a product for each head, and a
 * concatenation.
 *
 * Source: `MLA.forward` (the absorbed branch) in DeepSeek's inference/model.py; DeepSeek-V2 paper, section 2.1.2.
 */
import { type ExpertFormat, formatKey, matrixBindings, readMatrix } from './experts-weights.ts';
import { FORMAT_TEXTS } from './held-format.ts';
import type { Kernel } from './kernel.ts';

/** What is baked into the text. */
export interface LatentFoldConfig {
  /** `qk_nope_head_dim`. */
  readonly nope: number;
  /** `qk_rope_head_dim`, even; may be 0. */
  readonly rope: number;
  /** `kv_lora_rank`. */
  readonly latent: number;
  /** How the matrix is held, in one buffer. */
  readonly weights: ExpertFormat;
}

export interface LatentFoldShape {
  readonly tokens: number;
  readonly heads: number;
}

const THREADS = 64;
/** Threads that share a row of the matrix, and rows of a workgroup; each thread takes part in four. */
const LANES = 8;
const ROWS = (4 * THREADS) / LANES;

/**
 * The folding kernel.
 *
 * - `query`: F32 [tokens, heads, nope + rope]. `cosines`, `sines`: F32 [tokens, rope / 2].
 * - `key` (and `key_scales`): [heads * latent, nope], the matrices of the heads one below the other.
 * - `folded`: F32 [tokens, heads, latent + rope].
 *
 * Uniforms: `heads`. heads and tokens at most 65,535; a matrix is read once for each token, so this is for few.
 *
 * Accuracy: a folded number errs by (nope + 2) u of the sum of its products' magnitudes (u = 2^-24), a rotated one by 2 u.
 */
export function latentFoldKernel({ nope, rope, latent, weights }: LatentFoldConfig): Kernel<LatentFoldShape> {
  const matrix = { weights, out: latent, inputs: nope };
  const { inputs: numbers, helpers } = FORMAT_TEXTS[weights.format];
  const groups = Math.ceil(latent / ROWS);
  return {
    label: 'latent-attention-fold',
    key: `latent-attention-fold ${nope} ${rope} ${latent} ${formatKey(weights)}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'query', access: 'read', element: 'f32' },
      ...matrixBindings('key', matrix),
      { name: 'cosines', access: 'read', element: 'f32' },
      { name: 'sines', access: 'read', element: 'f32' },
      { name: 'folded', access: 'write', element: 'f32' },
    ],
    uniforms: [{ name: 'heads', type: 'u32' }],
    // Behind the workgroups of the product, those of the rotation.
    dispatch: ({ tokens, heads }) => [groups + Math.ceil(rope / 2 / THREADS), heads, tokens],
    code: /* wgsl */ `${helpers}${readMatrix('key', matrix)}
const NOPE = ${nope}u;
const HALF = ${rope / 2}u;
const LATENT = ${latent}u;
const GROUPS = ${groups}u;
const VECTORS = ${Math.ceil(nope / numbers)}u;
const LANES = ${LANES}u;
const STEP = ${THREADS / LANES}u;

var<workgroup> given: array<f32, ${Math.ceil(nope / numbers) * numbers}>;
var<workgroup> partial: array<f32, ${4 * THREADS}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let head = workgroup.y;
  let row = workgroup.z * uniforms.heads + head;
  let start = row * (NOPE + 2u * HALF);
  let to_start = row * (LATENT + 2u * HALF);
  if (workgroup.x >= GROUPS) {
    let pair = (workgroup.x - GROUPS) * ${THREADS}u + lane;
    if (pair < HALF) {
      let a = query[start + NOPE + 2u * pair];
      let b = query[start + NOPE + 2u * pair + 1u];
      let cosine = cosines[workgroup.z * HALF + pair];
      let sine = sines[workgroup.z * HALF + pair];
      folded[to_start + LATENT + 2u * pair] = a * cosine - b * sine;
      folded[to_start + LATENT + 2u * pair + 1u] = a * sine + b * cosine;
    }
    return;
  }
  for (var i = lane; i < VECTORS * ${numbers}u; i += ${THREADS}u) {
    given[i] = select(0.0, query[start + min(i, NOPE - 1u)], i < NOPE);
  }
  workgroupBarrier();
  let first = workgroup.x * ${ROWS}u + lane / LANES;
  for (var i = 0u; i < 4u; i++) {
    let own = head * LATENT + min(first + i * STEP, LATENT - 1u);
    var sum = 0.0;
    for (var vector = lane % LANES; vector < VECTORS; vector += LANES) {
      var values = key_vector(own, vector);
      var part = 0.0;
      for (var q = 0u; q < ${numbers / 4}u; q++) {
        let at = vector * ${numbers}u + q * 4u;
        part += dot(values[q], vec4<f32>(given[at], given[at + 1u], given[at + 2u], given[at + 3u]));
      }
      sum += part * key_scale(0u, own, vector);
    }
    partial[i * ${THREADS}u + lane] = sum;
  }
  workgroupBarrier();
  for (var i = lane; i < ${ROWS}u; i += ${THREADS}u) {
    let to = workgroup.x * ${ROWS}u + i;
    if (to < LATENT) {
      var total = 0.0;
      for (var k = 0u; k < LANES; k++) { total += partial[i / STEP * ${THREADS}u + i % STEP * LANES + k]; }
      folded[to_start + to] = total;
    }
  }
}
`,
  };
}
