/**
 * A kernel is a piece of WGSL with everything that is needed to run it: what it is called, which buffers and numbers it
 * takes, and how many workgroups cover a shape. It knows nothing of tensors, of a backend or of TensorFlow.js, so a test
 * can run it on a bare device (`runKernel` in `run-kernel.ts`).
 *
 * How values lie in buffers: tensors of every float format are `array<f32>` (the exact values of BF16 and the like),
 * integers are `array<i32>`, both dense and row-major. Packed weights are described in `packed-weight.ts`.
 *
 * No buffer may be bound twice in one dispatch if one of the two is written; in-place updates bind it once, as
 * `read-write`.
 */

/** The WGSL type of one element of a buffer. */
export type KernelElement = 'f32' | 'i32' | 'u32' | 'vec4<f32>' | 'vec4<u32>' | 'atomic<u32>' | 'atomic<i32>';

/** `write` and `read-write` are the same to WGSL, but not to the reader or to the scheduler. */
type KernelAccess = 'read' | 'write' | 'read-write';

/** One storage buffer: `name` is the variable in WGSL, an `array<element>`. */
export interface KernelBinding {
  readonly name: string;
  readonly access: KernelAccess;
  readonly element: KernelElement;
}

/** One number that may change from dispatch to dispatch: `uniforms.name` in WGSL. */
export interface KernelUniform {
  readonly name: string;
  readonly type: 'u32' | 'i32' | 'f32';
}

/** Numbers of workgroups along x, y and z; each at most 65,535. */
export type Workgroups = readonly [x: number, y: number, z: number];

/**
 * `Shape` is what decides how many workgroups run: whatever a kernel wants to call its sizes.
 */
export interface Kernel<Shape> {
  /** Short name for messages and counters: `latent-attention`. */
  readonly label: string;
  /**
   * Everything that changes the text: label, element types, baked-in sizes, options. Two kernels of one key must have
   * the same text, bindings and uniforms; pipelines are kept by it.
   */
  readonly key: string;
  /**
   * WGSL from helper functions to the entry point `main`, without declarations of bindings and uniforms: those are
   * written by `kernelSource` from the lists below. `@workgroup_size` must say what `workgroupSize` says.
   */
  readonly code: string;
  readonly workgroupSize: Workgroups;
  /** In the order of their binding numbers, from 0. At most 8, which every device has. */
  readonly bindings: readonly KernelBinding[];
  /** In order; the uniform buffer comes after the last binding. May be empty. */
  readonly uniforms: readonly KernelUniform[];
  /** Whether the text uses `f16`; it may be run only on a device with `shader-f16`. Default false. */
  readonly usesF16?: boolean;
  /** How many workgroups cover a shape. */
  dispatch(shape: Shape): Workgroups;
}

/** A piece of a GPU buffer. `offset` is in bytes and a multiple of 256 (`minStorageBufferOffsetAlignment`). */
export interface BufferRange {
  readonly buffer: GPUBuffer;
  readonly offset?: number;
  readonly size?: number;
}

/** What one run of a kernel takes: a buffer for each binding and a number for each uniform, by name. */
export interface KernelArguments<Shape> {
  readonly shape: Shape;
  readonly buffers: Readonly<Record<string, GPUBuffer | BufferRange>>;
  readonly uniforms?: Readonly<Record<string, number>>;
}

/** Runs a kernel. Everything that runs after it on the same device sees what it wrote. */
export type RunKernel = <Shape>(kernel: Kernel<Shape>, args: KernelArguments<Shape>) => void;

const ACCESS: Readonly<Record<KernelAccess, string>> = {
  read: 'read',
  write: 'read_write',
  'read-write': 'read_write',
};

/** The whole text of a kernel, as `createShaderModule` takes it. */
export function kernelSource<Shape>(kernel: Kernel<Shape>): string {
  const lines = kernel.usesF16 === true ? ['enable f16;'] : [];
  for (const [i, { name, access, element }] of kernel.bindings.entries()) {
    lines.push(`@group(0) @binding(${i}) var<storage, ${ACCESS[access]}> ${name}: array<${element}>;`);
  }
  if (kernel.uniforms.length > 0) {
    const fields = kernel.uniforms.map(({ name, type }) => `  ${name}: ${type},`);
    lines.push('struct Uniforms {', ...fields, '}');
    lines.push(`@group(0) @binding(${kernel.bindings.length}) var<uniform> uniforms: Uniforms;`);
  }
  return `${lines.join('\n')}\n${kernel.code}`;
}
