/**
 * Puts new tokens into a latent cache, in place: what `kv_a_proj` made of each token is normed (its latent), rotated (its
 * key), rounded to the cache's format and written to its row of its page, in one dispatch. In the contract's operations
 * these are seven: two slices, a norm, a rotation, a concatenation, row numbers and a write.
 *
 * Source: `MLA.forward` in DeepSeek's inference/model.py; DeepSeek-V2 paper, section 2.1.
 */
import type { Kernel } from './kernel.ts';
import { roundFunction } from './rounding.ts';

/** What is baked into the text. */
export interface LatentAppendConfig {
  /** `kv_lora_rank`. */
  readonly latent: number;
  /** `qk_rope_head_dim`, even and not 0. */
  readonly rope: number;
  /** Format of the cache. Its numbers are held as f32 in any case. */
  readonly dtype: 'f32' | 'bf16' | 'f16';
}

export interface LatentAppendShape {
  readonly tokens: number;
}

const THREADS = 128;

/**
 * The appending kernel; a workgroup for each token.
 *
 * - `rows`: F32 [tokens, latent + rope], as `kv_a_proj` made them. `norm`: F32 [latent].
 * - `cosines`, `sines`: F32 [tokens, rope / 2].
 * - `pages`: I32; token t of the sequence is pool row pages[t / page_size] * page_size + t % page_size.
 * - `pool`: F32 bits [pool rows, latent + rope]; no other row is touched.
 *
 * Uniforms: `start` (tokens before the first of these), `page_size`, `epsilon`. tokens at most 65,535.
 *
 * Accuracy: the mean square errs by (latent + 2) u of itself (u = 2^-24), half of which is left in its root; with 2 ulps
 * of `inverseSqrt` and two products a latent errs by (latent / 2 + 8) u of itself. A rotated number errs by 2 u of the sum
 * of its two products' magnitudes. Rounding to the cache's format is to nearest, ties to even.
 */
export function latentAppendKernel({ latent, rope, dtype }: LatentAppendConfig): Kernel<LatentAppendShape> {
  const stored = dtype === 'f32' ? 'bitcast<u32>(x)' : `round_${dtype}(bitcast<u32>(x))`;
  return {
    label: 'latent-attention-append',
    key: `latent-attention-append ${latent} ${rope} ${dtype}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'rows', access: 'read', element: 'f32' },
      { name: 'norm', access: 'read', element: 'f32' },
      { name: 'cosines', access: 'read', element: 'f32' },
      { name: 'sines', access: 'read', element: 'f32' },
      { name: 'pages', access: 'read', element: 'i32' },
      { name: 'pool', access: 'read-write', element: 'u32' },
    ],
    uniforms: [
      { name: 'start', type: 'u32' },
      { name: 'page_size', type: 'u32' },
      { name: 'epsilon', type: 'f32' },
    ],
    dispatch: ({ tokens }) => [tokens, 1, 1],
    code: /* wgsl */ `${dtype === 'f32' ? '' : roundFunction(dtype)}
const LATENT = ${latent}u;
const HALF = ${rope / 2}u;
const WIDTH = ${latent + rope}u;
const THREADS = ${THREADS}u;

var<workgroup> partial: array<f32, THREADS>;

fn stored(x: f32) -> u32 { return ${stored}; }

@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
  let row = workgroup.x * WIDTH;
  let token = uniforms.start + workgroup.x;
  let page = u32(pages[token / uniforms.page_size]);
  let place = (page * uniforms.page_size + token % uniforms.page_size) * WIDTH;

  var squares = 0.0;
  for (var i = lane; i < LATENT; i += THREADS) { squares += rows[row + i] * rows[row + i]; }
  partial[lane] = squares;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { partial[lane] += partial[lane + half]; }
  }
  workgroupBarrier();
  let inverse = inverseSqrt(partial[0] / f32(LATENT) + uniforms.epsilon);
  for (var i = lane; i < LATENT; i += THREADS) { pool[place + i] = stored(rows[row + i] * inverse * norm[i]); }

  for (var pair = lane; pair < HALF; pair += THREADS) {
    let a = rows[row + LATENT + 2u * pair];
    let b = rows[row + LATENT + 2u * pair + 1u];
    let cosine = cosines[workgroup.x * HALF + pair];
    let sine = sines[workgroup.x * HALF + pair];
    pool[place + LATENT + 2u * pair] = stored(a * cosine - b * sine);
    pool[place + LATENT + 2u * pair + 1u] = stored(a * sine + b * cosine);
  }
}
`,
  };
}
