/**
 * The engine of TensorFlow.js on a device, with our pool and our scheduler built in. One tfjs has one WebGPU engine, so
 * backends that are made with the same tfjs share it; the last one to be disposed takes it down.
 */

import type { TfTensor } from '@mariana/backend-tfjs';
import { MarianaError } from '@mariana/core';
import { BUFFER_USAGE } from '../kernels/run-kernel.ts';
import { BufferPool } from './buffer-pool.ts';
import { Counters } from './counters.ts';
import { Failures } from './failures.ts';
import { findGpu } from './find-gpu.ts';
import { type AdapterChoice, type AdapterFacts, openDevice } from './open-device.ts';
import { Scheduler } from './scheduler.ts';
import { checkInsides, type TfjsWebGpu, type WebGpuTfModule } from './tfjs-webgpu.ts';

const NAME = 'webgpu';
const { COPY_DST, COPY_SRC, STORAGE } = BUFFER_USAGE;
/** tfjs's own usage of tensors, so that both can use each other's buffers. */
const TENSOR_USAGE = STORAGE | COPY_SRC | COPY_DST;
/** Bytes that free buffers may take: enough for the activations of a long prompt. */
const MAX_FREE_BYTES = 256 * 2 ** 20;

/** What a program that had started the engine itself did not tell us. */
const UNKNOWN_ADAPTER: AdapterFacts = { vendor: '', architecture: '', description: '' };

const engines = new WeakMap<TfjsWebGpu, DeviceEngine>();

export class DeviceEngine {
  readonly tf: WebGpuTfModule;
  readonly device: GPUDevice;
  readonly adapter: AdapterFacts;
  readonly pool: BufferPool;
  readonly failures: Failures;
  readonly counters = new Counters();
  readonly scheduler: Scheduler;
  /** Whether this package made the device, and may end it. */
  readonly #owned: boolean;
  readonly #tfjs: TfjsWebGpu;
  #users = 0;

  constructor(tf: WebGpuTfModule, tfjs: TfjsWebGpu, adapter: AdapterFacts, owned: boolean) {
    this.tf = tf;
    this.#tfjs = tfjs;
    this.#owned = owned;
    this.adapter = adapter;
    this.device = tfjs.device;
    this.failures = new Failures(this.device);
    this.pool = new BufferPool(this.device, { maxFreeBytes: MAX_FREE_BYTES, former: tfjs.bufferManager });
    tfjs.bufferManager = this.pool;
    this.scheduler = new Scheduler(tfjs, this.pool, this.failures, this.counters);
    engines.set(tfjs, this);
  }

  /** Counts a backend that uses this engine. */
  join(): void {
    this.#users++;
  }

  /** A backend needs the engine no longer. */
  leave(): void {
    if (--this.#users > 0 || !this.#owned) return;
    this.failures.close();
    this.scheduler.dispose();
    if (this.tf.engine().registry[NAME] === this.#tfjs) this.tf.removeBackend(NAME);
    this.device.destroy();
  }

  /** A kept tensor of tfjs with a buffer of whatever contents. */
  tensor(elements: number, dtype: 'float32' | 'int32'): TfTensor {
    this.failures.check();
    const buffer = this.pool.acquireBuffer(elements * 4, TENSOR_USAGE);
    const info = this.#tfjs.makeTensorInfo([elements], dtype);
    this.#tfjs.tensorMap.get(info.dataId).resource = buffer;
    const tensor = this.tf.engine().makeTensorFromTensorInfo(info, this.#tfjs);
    tensor.kept = true;
    return tensor;
  }

  /** The buffer of a tensor of tfjs, which is uploaded first if it lies on the host. */
  buffer(tensor: TfTensor): GPUBuffer {
    this.#tfjs.uploadToGPU(tensor.dataId);
    return this.#tfjs.tensorMap.get(tensor.dataId).resource!;
  }

  /** Says that a kernel wrote into a tensor, of which tfjs may have kept a copy on the host. */
  written(tensor: TfTensor): void {
    this.#tfjs.tensorMap.get(tensor.dataId).values = null;
  }

  /** Whether a tensor of tfjs shares its buffer with others. */
  isShared(tensor: TfTensor): boolean {
    return this.#tfjs.tensorMap.get(tensor.dataId).refCount > 1;
  }
}

/**
 * The engine of a tfjs: the one that runs already, or a new one on the best device.
 *
 * @throws MarianaError `BACKEND_UNAVAILABLE`
 */
export async function startEngine(tf: WebGpuTfModule, choice: AdapterChoice): Promise<DeviceEngine> {
  const gpu = await findGpu();
  const running = runningEngine(tf);
  if (running !== undefined) {
    const known = engines.get(running);
    if (known === undefined) return new DeviceEngine(tf, running, UNKNOWN_ADAPTER, false);
    if (known.failures.first === undefined) return known;
    // Its device is lost or cannot be trusted: the tensors on it are gone in any case.
  }
  const { device, adapter } = await openDevice(gpu, choice);
  const { WebGPUBackend } = (await import('@tensorflow/tfjs-backend-webgpu')) as unknown as {
    WebGPUBackend: new (device: GPUDevice, info: unknown) => unknown;
  };
  if (NAME in tf.engine().registryFactory) tf.removeBackend(NAME);
  const tfjs = checkInsides(new WebGPUBackend(device, adapter));
  tf.registerBackend(NAME, () => tfjs, 3);
  return new DeviceEngine(tf, tfjs, adapter, true);
}

function runningEngine(tf: WebGpuTfModule): TfjsWebGpu | undefined {
  const running = tf.engine().registry[NAME];
  return running === undefined ? undefined : checkInsides(running);
}

/** Makes the engine the active one of tfjs. @throws MarianaError `BACKEND_UNAVAILABLE` */
export async function activate(tf: WebGpuTfModule): Promise<void> {
  const started = await tf.setBackend(NAME);
  if (started && tf.getBackend() === NAME) return;
  throw new MarianaError('BACKEND_UNAVAILABLE', 'webgpu: TensorFlow.js did not start its engine "webgpu"');
}
