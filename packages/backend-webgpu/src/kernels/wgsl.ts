/**
 * WGSL that several kernels share. WGSL lets a compiler assume that no NaN and no infinity occurs, so whatever must be
 * right for them looks at bits.
 */
import type { Workgroups } from './kernel.ts';

/** Threads of kernels that work through a flat list of elements. */
export const FLAT_WORKGROUP = 64;

/** Workgroups for a flat list: along x as far as a device goes, then along y. */
export function flatDispatch(elements: number): Workgroups {
  const groups = Math.ceil(elements / FLAT_WORKGROUP);
  const x = Math.min(groups, 32768);
  return [x, x === 0 ? 0 : Math.ceil(groups / x), 1];
}

/** Head of an entry point for a flat list: `i` is the element, below `uniforms.size`. */
export function flatMain(body: string): string {
  return /* wgsl */ `
@compute @workgroup_size(${FLAT_WORKGROUP})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.y * groups.x * ${FLAT_WORKGROUP}u + id.x;
  if (i >= uniforms.size) { return; }
${body}
}
`;
}

/** Numbers that WGSL cannot write, made at run time so that no compiler refuses them. */
export const SPECIAL_FLOATS = /* wgsl */ `
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn nan() -> f32 { var bits = 0x7fc00000u; return bitcast<f32>(bits); }
fn infinity() -> f32 { var bits = 0x7f800000u; return bitcast<f32>(bits); }
`;

/** A tree over the workgroup's `partial` values in shared memory; the total is in `partial[0]` afterwards. */
export function reduceTree(threads: number, combine: (a: string, b: string) => string): string {
  const steps: string[] = [];
  for (let half = threads / 2; half >= 1; half /= 2) {
    steps.push(`  workgroupBarrier();
  if (lane < ${half}u) { partial[lane] = ${combine('partial[lane]', `partial[lane + ${half}u]`)}; }`);
  }
  return `${steps.join('\n')}\n  workgroupBarrier();`;
}
