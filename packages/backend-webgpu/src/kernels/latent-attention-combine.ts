/**
 * Puts the splits of a long context together: each brought a numerator, a denominator and the maximum that both are
 * scaled by; brought to one maximum they add up to the whole.
 */
import type { Kernel } from './kernel.ts';
import { type LatentAttentionConfig, latentVectors } from './latent-attention.ts';

export interface LatentCombineShape {
  /** queries * heads. */
  readonly rows: number;
}

const THREADS = 64;
/** Workgroups along x; further rows go along y. */
const ROW_OF_WORKGROUPS = 32768;

/**
 * The kernel that combines splits, in their order.
 *
 * - `partial`: F32 [splits, rows, latent]. `stats`: F32 [splits, rows, 2]. `result`: F32 [rows, latent].
 *
 * Uniforms: `rows`, `splits`. A split in which a row sees no key has weight zero.
 */
export function latentCombineKernel(
  config: Pick<LatentAttentionConfig, 'latent' | 'rope'>,
): Kernel<LatentCombineShape> {
  const lanes = latentVectors(config) ? 4 : 1;
  const element = lanes === 4 ? 'vec4<f32>' : 'f32';
  return {
    label: 'latent-attention-combine',
    key: `latent-attention-combine ${config.latent} ${lanes}`,
    workgroupSize: [THREADS, 1, 1],
    bindings: [
      { name: 'partial', access: 'read', element },
      { name: 'stats', access: 'read', element: 'f32' },
      { name: 'result', access: 'write', element },
    ],
    uniforms: [
      { name: 'rows', type: 'u32' },
      { name: 'splits', type: 'u32' },
    ],
    dispatch: ({ rows }) => [Math.min(rows, ROW_OF_WORKGROUPS), Math.ceil(rows / ROW_OF_WORKGROUPS), 1],
    code: /* wgsl */ `
const UNITS = ${config.latent / lanes}u;

@compute @workgroup_size(${THREADS})
fn main(
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
) {
  let row = workgroup.x + workgroup.y * workgroups.x;
  if (row >= uniforms.rows) { return; }
  var most = stats[row * 2u];
  for (var split = 1u; split < uniforms.splits; split++) { most = max(most, stats[(split * uniforms.rows + row) * 2u]); }
  for (var unit = lane; unit < UNITS; unit += ${THREADS}u) {
    var sum = ${element}();
    var total = 0.0;
    for (var split = 0u; split < uniforms.splits; split++) {
      let at = split * uniforms.rows + row;
      let weight = exp(stats[at * 2u] - most);
      sum += weight * partial[at * UNITS + unit];
      total += weight * stats[at * 2u + 1u];
    }
    result[row * UNITS + unit] = sum / total;
  }
}
`,
  };
}
