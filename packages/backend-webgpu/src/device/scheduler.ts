/**
 * Puts kernels on the queue, between those of TensorFlow.js and in order with them: both write into one command
 * encoder. Pipelines are compiled once for each key, bind groups are kept, and the uniforms of all dispatches of a
 * submission lie in one buffer that is written once.
 */
import { MarianaError } from '@mariana/core';
import type { Kernel, KernelArguments, RunKernel } from '../kernels/kernel.ts';
import {
  BUFFER_USAGE,
  bindKernel,
  compileKernel,
  type Pipeline,
  uniformSize,
  writeUniforms,
} from '../kernels/run-kernel.ts';
import type { BufferPool } from './buffer-pool.ts';
import type { Counters } from './counters.ts';
import { type Failures, failureOf } from './failures.ts';
import type { TfjsWebGpu } from './tfjs-webgpu.ts';

/** Dispatches after which the device is given work, though nobody waits for it yet. */
const BATCH = 96;
/** Bytes for uniforms in a submission: at least `BATCH` times the alignment. */
const UNIFORM_BYTES = 65536;
/** Bytes for small uploads in a submission. */
const UPLOAD_BYTES = 65536;
/** `minUniformBufferOffsetAlignment` of every device is at most this. */
const UNIFORM_ALIGNMENT = 256;
const MAX_BIND_GROUPS = 8192;
/** Most workgroups along an axis, on every device. */
const MAX_WORKGROUPS = 65535;

const { COPY_DST, COPY_SRC, MAP_READ, STORAGE, UNIFORM } = BUFFER_USAGE;
/** `GPUMapMode.READ`. */
const MAP_MODE_READ = 1;

interface Compiled extends Pipeline {
  readonly id: number;
}

/** Bytes that are collected on the host and written to the device at once. */
interface Staging {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  readonly buffer: GPUBuffer;
  used: number;
}

export class Scheduler {
  readonly #tfjs: TfjsWebGpu;
  readonly #device: GPUDevice;
  readonly #pool: BufferPool;
  readonly #failures: Failures;
  readonly #counters: Counters;
  readonly #pipelines = new Map<string, Compiled>();
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  readonly #bufferIds = new WeakMap<GPUBuffer, number>();
  #nextBufferId = 0;
  readonly #uniforms: Staging;
  readonly #uploads: Staging;
  #dispatches = 0;
  /** Compilations whose outcome is not known yet. */
  readonly #compiling = new Set<Promise<void>>();

  constructor(tfjs: TfjsWebGpu, pool: BufferPool, failures: Failures, counters: Counters) {
    this.#tfjs = tfjs;
    this.#device = tfjs.device;
    this.#pool = pool;
    this.#failures = failures;
    this.#counters = counters;
    this.#uniforms = this.#staging(UNIFORM_BYTES, UNIFORM);
    this.#uploads = this.#staging(UPLOAD_BYTES, COPY_SRC);
    this.#hook();
  }

  /**
   * Runs a kernel after everything that was run before.
   *
   * @throws MarianaError the first failure of the device, or `INVALID_ARGUMENT` for a kernel it cannot run.
   */
  readonly run: RunKernel = (kernel, args) => {
    this.#failures.check();
    const workgroups = kernel.dispatch(args.shape);
    if (workgroups.some((count) => count > MAX_WORKGROUPS)) {
      throw new MarianaError(
        'INVALID_ARGUMENT',
        `webgpu: ${kernel.label} would need ${workgroups.join(' x ')} workgroups, more than a device runs at once; ` +
          'work on fewer tokens at a time',
      );
    }
    if (workgroups.some((count) => count === 0)) return;
    const compiled = this.#compiled(kernel);
    const offset = this.#takeUniforms(kernel, args.uniforms ?? {});
    const group = this.#bindGroup(kernel, compiled, args.buffers);
    const pass = this.#pass();
    pass.setPipeline(compiled.pipeline);
    pass.setBindGroup(0, group, offset === undefined ? [] : [offset]);
    pass.dispatchWorkgroups(...workgroups);
    this.#counters.countDispatch(kernel.label);
    if (++this.#dispatches >= BATCH) this.submit();
  };

  /** Gives the device everything that was run so far. */
  submit(): void {
    this.#tfjs.ensureCommandEncoderReady();
    this.#tfjs.endComputePassEncoder();
    this.#tfjs.submitQueue();
  }

  /** Writes host bytes (a multiple of 4) to the start of a buffer, in order with the kernels. */
  write(buffer: GPUBuffer, bytes: Uint8Array<ArrayBuffer>): void {
    this.#failures.check();
    this.#counters.countUpload(bytes.byteLength);
    if (bytes.byteLength > UPLOAD_BYTES / 4) {
      // The buffer may have been another tensor's in commands that are not submitted yet.
      this.submit();
      this.#device.queue.writeBuffer(buffer, 0, bytes);
      return;
    }
    if (this.#uploads.used + bytes.byteLength > UPLOAD_BYTES) this.submit();
    const at = this.#uploads.used;
    this.#uploads.bytes.set(bytes, at);
    this.#uploads.used += bytes.byteLength;
    this.copy(this.#uploads.buffer, at, buffer, 0, bytes.byteLength);
  }

  /** Copies between buffers, in order with the kernels. */
  copy(from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, bytes: number): void {
    this.#tfjs.ensureCommandEncoderReady();
    this.#tfjs.endComputePassEncoder();
    this.#tfjs.commandEncoder!.copyBufferToBuffer(from, fromOffset, to, toOffset, bytes);
  }

  /**
   * Copies bytes of a buffer, as they are when this is called, to the host.
   *
   * @throws MarianaError the first failure of the device up to here.
   */
  async read(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    this.#failures.check();
    this.#counters.countRead(bytes);
    const staging = this.#pool.acquireBuffer(bytes, COPY_DST | MAP_READ);
    this.copy(buffer, 0, staging, 0, bytes);
    this.submit();
    try {
      await Promise.all([staging.mapAsync(MAP_MODE_READ), this.settle()]);
      const copy = staging.getMappedRange().slice(0);
      staging.unmap();
      return copy;
    } catch (cause) {
      // What the device says of itself explains more than a buffer that could not be mapped.
      await this.settle();
      throw new MarianaError('BACKEND_FAILED', `webgpu: a result could not be read (${String(cause)})`, { cause });
    } finally {
      this.#pool.releaseBuffer(staging);
    }
  }

  /** Waits until every failure up to here is known. @throws MarianaError the first. */
  async settle(): Promise<void> {
    // An error that was not captured is delivered before the end of a scope that was opened after it.
    this.#device.pushErrorScope('validation');
    const scope = this.#device.popErrorScope().catch(() => null);
    await Promise.all([scope, ...this.#compiling]);
    this.#failures.check();
  }

  /** Makes a buffer of its own, not of the pool, and waits for the device's word that it has the memory. */
  async allocate(label: string, bytes: number): Promise<GPUBuffer> {
    this.#failures.check();
    this.#device.pushErrorScope('out-of-memory');
    this.#device.pushErrorScope('validation');
    const buffer = this.#device.createBuffer({ label, size: bytes, usage: STORAGE | COPY_DST | COPY_SRC });
    const errors = await Promise.all([this.#device.popErrorScope(), this.#device.popErrorScope()]);
    const error = errors.find((one) => one !== null);
    if (error === undefined || error === null) return buffer;
    buffer.destroy();
    throw failureOf(error, `${label} (${bytes} bytes)`);
  }

  dispose(): void {
    this.#uniforms.buffer.destroy();
    this.#uploads.buffer.destroy();
    this.#bindGroups.clear();
    this.#pipelines.clear();
  }

  #staging(size: number, usage: number): Staging {
    const bytes = new Uint8Array(size);
    const buffer = this.#device.createBuffer({ size, usage: usage | COPY_DST });
    return { bytes, view: new DataView(bytes.buffer), buffer, used: 0 };
  }

  /** Sees to it that what was staged is on the device before any submission, also one that tfjs makes. */
  #hook(): void {
    const { submitQueue, runWebGPUProgram } = this.#tfjs;
    this.#tfjs.submitQueue = () => {
      for (const staging of [this.#uniforms, this.#uploads]) {
        if (staging.used === 0) continue;
        const bytes = Math.ceil(staging.used / 4) * 4;
        this.#device.queue.writeBuffer(staging.buffer, 0, staging.bytes, 0, bytes);
        staging.used = 0;
      }
      submitQueue.call(this.#tfjs);
      this.#dispatches = 0;
      this.#counters.submissions++;
      this.#pool.sweep();
    };
    this.#tfjs.runWebGPUProgram = (...args) => {
      this.#failures.check();
      this.#counters.countDispatch('tfjs');
      return runWebGPUProgram.apply(this.#tfjs, args);
    };
  }

  #pass(): GPUComputePassEncoder {
    this.#tfjs.ensureCommandEncoderReady();
    this.#tfjs.computePassEncoder ??= this.#tfjs.commandEncoder!.beginComputePass();
    return this.#tfjs.computePassEncoder;
  }

  #compiled<Shape>(kernel: Kernel<Shape>): Compiled {
    const known = this.#pipelines.get(kernel.key);
    if (known !== undefined) return known;
    this.#device.pushErrorScope('validation');
    const compiled = { ...compileKernel(this.#device, kernel, true), id: this.#pipelines.size };
    const outcome = this.#device.popErrorScope().then(
      (error) => {
        if (error !== null) this.#failures.note(failureOf(error, `kernel ${kernel.label} does not compile`));
      },
      // The device is gone, which its own event says.
      () => {},
    );
    this.#compiling.add(outcome);
    void outcome.then(() => this.#compiling.delete(outcome));
    this.#pipelines.set(kernel.key, compiled);
    return compiled;
  }

  #takeUniforms<Shape>(kernel: Kernel<Shape>, values: Readonly<Record<string, number>>): number | undefined {
    if (kernel.uniforms.length === 0) return undefined;
    const size = uniformSize(kernel);
    if (this.#uniforms.used + size > UNIFORM_BYTES) this.submit();
    const at = this.#uniforms.used;
    writeUniforms(kernel, values, this.#uniforms.view, at);
    this.#uniforms.used += Math.ceil(size / UNIFORM_ALIGNMENT) * UNIFORM_ALIGNMENT;
    return at;
  }

  #bindGroup<Shape>(
    kernel: Kernel<Shape>,
    { id, layout }: Compiled,
    buffers: KernelArguments<Shape>['buffers'],
  ): GPUBindGroup {
    let key = `${id}`;
    for (const { name } of kernel.bindings) {
      const given = buffers[name];
      if (given === undefined) break; // bindKernel says which
      if ('buffer' in given) key += `:${this.#idOf(given.buffer)}+${given.offset ?? 0}+${given.size ?? ''}`;
      else key += `:${this.#idOf(given)}`;
    }
    const known = this.#bindGroups.get(key);
    if (known !== undefined) return known;
    const size = uniformSize(kernel);
    const uniforms = size === 0 ? undefined : { buffer: this.#uniforms.buffer, offset: 0, size };
    const group = bindKernel(this.#device, kernel, layout, buffers, uniforms);
    if (this.#bindGroups.size >= MAX_BIND_GROUPS) this.#bindGroups.clear();
    this.#bindGroups.set(key, group);
    return group;
  }

  #idOf(buffer: GPUBuffer): number {
    let id = this.#bufferIds.get(buffer);
    if (id === undefined) {
      id = this.#nextBufferId++;
      this.#bufferIds.set(buffer, id);
    }
    return id;
  }
}
