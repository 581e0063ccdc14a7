/**
 * What the tests of kernels share: one real device for a test file, buffers made from typed arrays and read back, and
 * every error that the device reports thrown at the run that caused it.
 */
import { createRequire } from 'node:module';
import type { Kernel, KernelArguments, RunKernel } from './kernel.ts';
import { BUFFER_USAGE, kernelRunner } from './run-kernel.ts';

type Values = Float32Array | Int32Array | Uint32Array | Uint8Array;

/** Held for as long as the process lives: devices of a collected GPU object crash. */
let gpu: GPU | undefined;

/** A device with the defaults' limits, so that no kernel passes here and fails elsewhere. */
export class KernelBench {
  readonly device: GPUDevice;
  readonly #run: RunKernel;
  #uncaptured: string[] = [];

  private constructor(device: GPUDevice) {
    this.device = device;
    this.#run = kernelRunner(device);
    device.addEventListener('uncapturederror', (event) =>
      this.#uncaptured.push((event as GPUUncapturedErrorEvent).error.message),
    );
  }

  /** @throws Error with what to install, where there is no adapter: a kernel that was not run is not tested. */
  static async open(): Promise<KernelBench> {
    const { create, globals } = createRequire(import.meta.url)('webgpu') as {
      create(options: string[]): GPU;
      globals: Record<string, unknown>;
    };
    for (const [name, value] of Object.entries(globals))
      if (!(name in globalThis)) Object.assign(globalThis, { [name]: value });
    gpu ??= create([]);
    const adapter = await gpu.requestAdapter();
    if (adapter === null) throw new Error('no WebGPU adapter: install a Vulkan driver (a software one will do)');
    return new KernelBench(await adapter.requestDevice());
  }

  /** A buffer with these values; at least 4 bytes, in whole words. */
  buffer(values: Values): GPUBuffer {
    const buffer = this.empty(values.byteLength);
    const bytes = new Uint8Array(Math.max(4, Math.ceil(values.byteLength / 4) * 4));
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    this.device.queue.writeBuffer(buffer, 0, bytes);
    return buffer;
  }

  /** A buffer of garbage (every word is a NaN), so that what a kernel leaves out shows. */
  empty(byteLength: number): GPUBuffer {
    const size = Math.max(4, Math.ceil(byteLength / 4) * 4);
    const { STORAGE, COPY_SRC, COPY_DST } = BUFFER_USAGE;
    const buffer = this.device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
    this.device.queue.writeBuffer(buffer, 0, new Uint8Array(size).fill(0xff));
    return buffer;
  }

  async run<Shape>(kernel: Kernel<Shape>, args: KernelArguments<Shape>): Promise<void> {
    for (const filter of ['validation', 'internal', 'out-of-memory'] as const) this.device.pushErrorScope(filter);
    this.#run(kernel, args);
    for (let i = 0; i < 3; i++) {
      const error = await this.device.popErrorScope();
      if (error !== null) throw new Error(`${kernel.label}: ${error.message}`);
    }
    if (this.#uncaptured.length > 0) throw new Error(this.#uncaptured.splice(0).join('\n'));
  }

  async floats(buffer: GPUBuffer): Promise<Float32Array> {
    return new Float32Array(await this.#read(buffer));
  }

  async integers(buffer: GPUBuffer): Promise<Int32Array> {
    return new Int32Array(await this.#read(buffer));
  }

  close(): void {
    this.device.destroy();
  }

  async #read(buffer: GPUBuffer): Promise<ArrayBuffer> {
    const { MAP_READ, COPY_DST } = BUFFER_USAGE;
    const staging = this.device.createBuffer({ size: buffer.size, usage: MAP_READ | COPY_DST });
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
    this.device.queue.submit([encoder.finish()]);
    await staging.mapAsync(1);
    const bytes = staging.getMappedRange().slice(0);
    staging.destroy();
    return bytes;
  }
}

/** Repeatable numbers in [low, high). */
export function uniform(seed: number, low = -1, high = 1): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return low + ((high - low) * ((z ^ (z >>> 15)) >>> 0)) / 2 ** 32;
  };
}

/** n floats from a generator. */
export function floats(n: number, next: () => number): Float32Array {
  return Float32Array.from({ length: n }, next);
}

/** Unit roundoff of float32. */
export const U = 2 ** -24;

/** The largest |actual - expected| / bound; above 1 is a failure, and NaN or an unwritten value counts as infinite. */
export function worst(actual: ArrayLike<number>, expected: ArrayLike<number>, bound: (i: number) => number): number {
  if (actual.length < expected.length) return Number.POSITIVE_INFINITY;
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const ratio = Math.abs(actual[i]! - expected[i]!) / bound(i);
    if (!(ratio <= most)) most = Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio;
  }
  return most;
}
