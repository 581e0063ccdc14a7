/**
 * Causal attention with keys and values per head: the naive form of MLA, used where many queries come at once. Products,
 * mask and softmax are one dispatch; nothing of the size of the scores is ever stored.
 *
 * Source: `attention` in the contract; DeepSeek-V3 report, section 2.1.1.
 */
import { ATTENTION_THREADS, attentionCode, TILE_ROWS } from './attention-tiles.ts';
import type { Kernel } from './kernel.ts';

/** Widths that are baked into the text. */
export interface AttentionConfig {
  /** Of queries and keys. */
  readonly width: number;
  readonly valueWidth: number;
}

export interface AttentionShape {
  readonly batch: number;
  readonly queries: number;
  readonly heads: number;
}

/**
 * The kernel of causal attention.
 *
 * - `query`: F32 [batch, queries, heads, width]. `key`: F32 [batch, keys, heads, width].
 * - `value`: F32 [batch, keys, heads, valueWidth]. `result`: F32 [batch, queries, heads, valueWidth].
 *
 * Uniforms: `queries`, `keys` (at least 1), `heads`, `query_start` (query i sees keys 0 to query_start + i), `scale`.
 * batch and heads at most 65,535, queries at most 1,048,560.
 *
 * Accuracy: products and sums are F32, so a score errs by (width + 1) u of the sum of its magnitudes, u = 2^-24. An error
 * of a score is a relative one of its share; `exp(-x)` adds 3 + 2x ulps (WGSL), but then the share is e^-x, so that the
 * ulps of x never weigh more than 2 / e. Running maxima only scale numerator and denominator alike: each tile of 32 keys
 * adds one rounding to both. The division is good to 2.5 ulps. A masked key is never multiplied, whatever is in it, but
 * keys that some row of a tile of 16 sees are multiplied by zero for the rows that do not. NaN or infinite scores make
 * their rows meaningless: a device may take it that there are none.
 */
export function attentionKernel({ width, valueWidth }: AttentionConfig): Kernel<AttentionShape> {
  const lanes = width % 4 === 0 && valueWidth % 4 === 0 ? 4 : 1;
  const element = lanes === 4 ? 'vec4<f32>' : 'f32';
  return {
    label: 'attention',
    key: `attention ${width} ${valueWidth}`,
    workgroupSize: [ATTENTION_THREADS, 1, 1],
    bindings: [
      { name: 'query', access: 'read', element },
      { name: 'key', access: 'read', element },
      { name: 'value', access: 'read', element },
      { name: 'result', access: 'write', element },
    ],
    uniforms: [
      { name: 'queries', type: 'u32' },
      { name: 'keys', type: 'u32' },
      { name: 'heads', type: 'u32' },
      { name: 'query_start', type: 'u32' },
      { name: 'scale', type: 'f32' },
    ],
    dispatch: ({ batch, queries, heads }) => [Math.ceil(queries / TILE_ROWS), heads, batch],
    code: attentionCode({
      element,
      units: width / lanes,
      valueUnits: valueWidth / lanes,
      buffers: { query: 'query', key: 'key', value: 'value' },
      places: PLACES,
    }),
  };
}

/** Workgroups are [tile of queries, head, sequence]. */
const PLACES = /* wgsl */ `
fn row_count() -> u32 { return uniforms.queries; }

fn visible_keys(row: u32) -> u32 { return min(uniforms.keys, uniforms.query_start + row + 1u); }

fn key_range(workgroup: vec3<u32>, last_row: u32) -> vec2<u32> { return vec2<u32>(0u, visible_keys(last_row)); }

fn query_at(workgroup: vec3<u32>, row: u32) -> u32 {
  return ((workgroup.z * uniforms.queries + row) * uniforms.heads + workgroup.y) * UNITS;
}

fn key_at(workgroup: vec3<u32>, token: u32) -> vec2<u32> {
  let at = (workgroup.z * uniforms.keys + token) * uniforms.heads + workgroup.y;
  return vec2<u32>(at * UNITS, at * VALUE_UNITS);
}

fn finish(workgroup: vec3<u32>, row: u32, unit: u32, sum: Unit, most: f32, total: f32) {
  result[((workgroup.z * uniforms.queries + row) * uniforms.heads + workgroup.y) * VALUE_UNITS + unit] = sum / total;
}
`;
