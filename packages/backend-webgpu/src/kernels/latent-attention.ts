/**
 * Causal attention against cached latents: the absorbed form of MLA. Rows of the cache are read where they lie in their
 * pages, once as keys and once as values; all heads read the same rows, so 16 heads (or queries) share each load.
 *
 * A decoded token brings few rows of queries: 16 for DeepSeek-V2-Lite, which one workgroup holds. To have more of the
 * device at work, a long context is cut into splits, and their results are put together by a second, small dispatch
 * (`latent-attention-combine.ts`). How it is cut depends on shapes alone.
 *
 * Source: `latentAttention` in the contract; DeepSeek-V2 paper, section 2.1.2.
 */
import { ATTENTION_THREADS, attentionCode, TILE_KEYS, TILE_ROWS } from './attention-tiles.ts';
import type { Kernel, KernelBinding } from './kernel.ts';

/** What is baked into the text. */
export interface LatentAttentionConfig {
  /** `kv_lora_rank`. */
  readonly latent: number;
  /** `qk_rope_head_dim`; may be 0. */
  readonly rope: number;
  /** Whether the result is that of a split, to be combined. */
  readonly partial: boolean;
}

/** How a context is cut. */
export interface LatentAttentionShape {
  /** queries * heads. */
  readonly rows: number;
  readonly splits: number;
  /** Tokens in a split, a multiple of 32; the last may have fewer. */
  readonly splitTokens: number;
}

/** Workgroups that are worth having: a few for each of the 50 to 150 cores of a large GPU. */
const WANTED_WORKGROUPS = 256;
/** A split of less is not worth its share of the combination. */
const LEAST_SPLIT = 64;

/** Cuts a context of `length` tokens for `rows` rows of queries; one split where there is work enough without. */
export function latentAttentionShape(rows: number, length: number): LatentAttentionShape {
  const tiles = Math.max(1, Math.ceil(rows / TILE_ROWS));
  const wanted = Math.max(1, Math.min(Math.ceil(WANTED_WORKGROUPS / tiles), Math.floor(length / LEAST_SPLIT)));
  const splitTokens = Math.max(1, Math.ceil(length / wanted / TILE_KEYS)) * TILE_KEYS;
  return { rows, splitTokens, splits: Math.max(1, Math.ceil(length / splitTokens)) };
}

/** Whether buffers of these widths are read in vectors of four. */
export function latentVectors({ latent, rope }: Pick<LatentAttentionConfig, 'latent' | 'rope'>): boolean {
  return latent % 4 === 0 && rope % 4 === 0;
}

/**
 * The kernel of absorbed attention.
 *
 * - `query`: F32 [queries, heads, latent + rope]. `pool`: F32 [pool rows, latent + rope].
 * - `pages`: I32, the pages of the sequence; token t is pool row pages[t / page_size] * page_size + t % page_size.
 * - `result`: F32 [queries, heads, latent]; or, if `partial`, [splits, queries * heads, latent] of numerators with
 *   `stats`: F32 [splits, queries * heads, 2], the maximum of the scores and the denominator.
 *
 * Uniforms: `rows` (queries * heads), `heads`, `length` (tokens; at least 1), `query_start`, `page_size`, `split`
 * (`splitTokens`), `scale`. rows at most 1,048,560.
 *
 * Accuracy as of the naive form (`attention.ts`), with one more exponential and product for each split. Rows of the pool
 * that no token of the sequence wrote are never read.
 */
export function latentAttentionKernel({ latent, rope, partial }: LatentAttentionConfig): Kernel<LatentAttentionShape> {
  const vectors = latentVectors({ latent, rope });
  const lanes = vectors ? 4 : 1;
  const element = vectors ? 'vec4<f32>' : 'f32';
  return {
    label: 'latent-attention',
    key: `latent-attention ${latent} ${rope} ${partial}`,
    workgroupSize: [ATTENTION_THREADS, 1, 1],
    bindings: [
      { name: 'query', access: 'read', element },
      { name: 'pool', access: 'read', element },
      { name: 'pages', access: 'read', element: 'i32' },
      { name: 'result', access: 'write', element },
      ...(partial ? [{ name: 'stats', access: 'write', element: 'f32' } satisfies KernelBinding] : []),
    ],
    uniforms: [
      { name: 'rows', type: 'u32' },
      { name: 'heads', type: 'u32' },
      { name: 'length', type: 'u32' },
      { name: 'query_start', type: 'u32' },
      { name: 'page_size', type: 'u32' },
      { name: 'split', type: 'u32' },
      { name: 'scale', type: 'f32' },
    ],
    dispatch: ({ rows, splits }) => [Math.ceil(rows / TILE_ROWS), splits, 1],
    code: attentionCode({
      element,
      units: (latent + rope) / lanes,
      valueUnits: latent / lanes,
      buffers: { query: 'query', key: 'pool', value: 'pool' },
      places: PLACES + (partial ? FINISH_SPLIT : FINISH),
    }),
  };
}

/** Workgroups are [tile of rows, split]. */
const PLACES = /* wgsl */ `
fn row_count() -> u32 { return uniforms.rows; }

fn visible_keys(row: u32) -> u32 { return min(uniforms.length, uniforms.query_start + row / uniforms.heads + 1u); }

fn key_range(workgroup: vec3<u32>, last_row: u32) -> vec2<u32> {
  let start = workgroup.y * uniforms.split;
  return vec2<u32>(start, min(start + uniforms.split, visible_keys(last_row)));
}

fn query_at(workgroup: vec3<u32>, row: u32) -> u32 { return row * UNITS; }

fn key_at(workgroup: vec3<u32>, token: u32) -> vec2<u32> {
  let page = u32(pages[token / uniforms.page_size]);
  return vec2<u32>((page * uniforms.page_size + token % uniforms.page_size) * UNITS);
}
`;

const FINISH = /* wgsl */ `
fn finish(workgroup: vec3<u32>, row: u32, unit: u32, sum: Unit, most: f32, total: f32) {
  result[row * VALUE_UNITS + unit] = sum / total;
}
`;

const FINISH_SPLIT = /* wgsl */ `
fn finish(workgroup: vec3<u32>, row: u32, unit: u32, sum: Unit, most: f32, total: f32) {
  let at = workgroup.y * uniforms.rows + row;
  result[at * VALUE_UNITS + unit] = sum;
  if (unit == 0u) {
    stats[at * 2u] = most;
    stats[at * 2u + 1u] = total;
  }
}
`;
