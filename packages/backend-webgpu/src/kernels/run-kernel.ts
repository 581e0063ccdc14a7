/**
 * Kernels on a bare device: compiles a pipeline for each key, once, and puts one compute pass with one dispatch on the
 * queue. This is what the tests of kernels use, and the measure of what the backend's own scheduler must do the same.
 */
import { MarianaError } from '@mariana/core';
import { type BufferRange, type Kernel, type KernelArguments, kernelSource, type RunKernel } from './kernel.ts';

/** `GPUShaderStage.COMPUTE`, which Node does not define. */
const COMPUTE_STAGE = 4;

/** `GPUBufferUsage`, which Node does not define. */
export const BUFFER_USAGE = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 } as const;

/** A compiled kernel. */
export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/**
 * Compiles a kernel. What is wrong with its text is reported by the device, in an error scope or as uncaptured.
 *
 * @param dynamicUniforms - Whether the place of the uniforms in their buffer is told with each run.
 */
export function compileKernel<Shape>(device: GPUDevice, kernel: Kernel<Shape>, dynamicUniforms = false): Pipeline {
  if (kernel.usesF16 === true && !device.features.has('shader-f16')) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `kernel ${kernel.label} computes in f16, which this device lacks (shader-f16)`,
    );
  }
  const entries: GPUBindGroupLayoutEntry[] = kernel.bindings.map(({ access }, binding) => ({
    binding,
    visibility: COMPUTE_STAGE,
    buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
  }));
  if (kernel.uniforms.length > 0) {
    const buffer = { type: 'uniform', hasDynamicOffset: dynamicUniforms } as const;
    entries.push({ binding: entries.length, visibility: COMPUTE_STAGE, buffer });
  }
  const { label } = kernel;
  const layout = device.createBindGroupLayout({ label, entries });
  const pipeline = device.createComputePipeline({
    label,
    layout: device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
    compute: { module: device.createShaderModule({ label, code: kernelSource(kernel) }), entryPoint: 'main' },
  });
  return { pipeline, layout };
}

/** Size of a kernel's uniform buffer: its numbers, padded to whole vectors of four. */
export function uniformSize<Shape>(kernel: Kernel<Shape>): number {
  return Math.ceil(kernel.uniforms.length / 4) * 16;
}

/** Writes a kernel's uniforms into `view`, from `offset` on. */
export function writeUniforms<Shape>(
  kernel: Kernel<Shape>,
  values: Readonly<Record<string, number>>,
  view: DataView,
  offset = 0,
): void {
  for (const [i, { name, type }] of kernel.uniforms.entries()) {
    const value = values[name];
    if (value === undefined) {
      throw new MarianaError('INVALID_ARGUMENT', `kernel ${kernel.label}: uniform ${name} was not given`);
    }
    const at = offset + i * 4;
    if (type === 'f32') view.setFloat32(at, value, true);
    else if (type === 'i32') view.setInt32(at, value, true);
    else view.setUint32(at, value, true);
  }
}

/** The bind group of one run. */
export function bindKernel<Shape>(
  device: GPUDevice,
  kernel: Kernel<Shape>,
  layout: GPUBindGroupLayout,
  buffers: KernelArguments<Shape>['buffers'],
  uniforms: BufferRange | undefined,
): GPUBindGroup {
  const entries: GPUBindGroupEntry[] = kernel.bindings.map(({ name }, binding) => {
    const given = buffers[name];
    if (given === undefined) {
      throw new MarianaError('INVALID_ARGUMENT', `kernel ${kernel.label}: buffer ${name} was not given`);
    }
    return { binding, resource: 'buffer' in given ? given : { buffer: given } };
  });
  if (uniforms !== undefined) entries.push({ binding: entries.length, resource: uniforms });
  return device.createBindGroup({ label: kernel.label, layout, entries });
}

/**
 * A runner on a bare device. One submission a run, and uniform buffers that live as long as the device keeps them: for
 * tests and measurements, not for models.
 */
export function kernelRunner(device: GPUDevice): RunKernel {
  const pipelines = new Map<string, Pipeline>();
  return (kernel, { shape, buffers, uniforms = {} }) => {
    let compiled = pipelines.get(kernel.key);
    if (compiled === undefined) {
      compiled = compileKernel(device, kernel);
      pipelines.set(kernel.key, compiled);
    }
    const { COPY_DST, UNIFORM } = BUFFER_USAGE;
    let uniformBuffer: GPUBuffer | undefined;
    if (kernel.uniforms.length > 0) {
      const bytes = new ArrayBuffer(uniformSize(kernel));
      writeUniforms(kernel, uniforms, new DataView(bytes));
      uniformBuffer = device.createBuffer({ size: bytes.byteLength, usage: UNIFORM | COPY_DST });
      device.queue.writeBuffer(uniformBuffer, 0, bytes);
    }
    const range = uniformBuffer === undefined ? undefined : { buffer: uniformBuffer };
    const encoder = device.createCommandEncoder({ label: kernel.label });
    const pass = encoder.beginComputePass({ label: kernel.label });
    pass.setPipeline(compiled.pipeline);
    pass.setBindGroup(0, bindKernel(device, kernel, compiled.layout, buffers, range));
    pass.dispatchWorkgroups(...kernel.dispatch(shape));
    pass.end();
    device.queue.submit([encoder.finish()]);
    uniformBuffer?.destroy();
  };
}
