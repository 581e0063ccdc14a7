/**
 * Buffers of the device, kept for use again by exact size and usage, because making one costs more than most kernels.
 * It takes the place of the pool in TensorFlow.js, which never gives memory back: here free buffers may take only so
 * much together, and the ones unused for longest go first. It also refuses what the device could only answer with an
 * error event.
 */
import { MarianaError } from '@mariana/core';

const STORAGE = 128;

/** What `BufferManager` of tfjs-backend-webgpu offers to the rest of tfjs. */
export interface BufferManagerLike {
  numBytesUsed: number;
  numBytesAllocated: number;
  acquireBuffer(size: number, usage: number, mappedAtCreation?: boolean, reuse?: boolean): GPUBuffer;
  releaseBuffer(buffer: GPUBuffer, reuse?: boolean): void;
  getNumUsedBuffers(): number;
  getNumFreeBuffers(): number;
  dispose(): void;
}

export interface BufferPoolOptions {
  /** Bytes that free buffers may take together. */
  readonly maxFreeBytes: number;
  /** The pool that this one takes over from: it gets back what it gave out. */
  readonly former?: BufferManagerLike;
}

export class BufferPool implements BufferManagerLike {
  /** Bytes of buffers in use. */
  numBytesUsed = 0;
  /** Bytes of all buffers, free ones included. */
  numBytesAllocated = 0;
  readonly #device: GPUDevice;
  readonly #maxFreeBytes: number;
  readonly #former: BufferManagerLike | undefined;
  /** In order of release, so the first is the one that was unused for longest. */
  readonly #free = new Map<string, GPUBuffer[]>();
  readonly #used = new Set<GPUBuffer>();
  #freeCount = 0;
  /** Free buffers that must go, once the commands that name them were submitted. */
  #condemned: GPUBuffer[] = [];

  constructor(device: GPUDevice, { maxFreeBytes, former }: BufferPoolOptions) {
    this.#device = device;
    this.#maxFreeBytes = maxFreeBytes;
    this.#former = former;
  }

  /** @throws MarianaError `OUT_OF_MEMORY` for a buffer that the device cannot have or bind. */
  acquireBuffer(size: number, usage: number, mappedAtCreation = false, reuse = true): GPUBuffer {
    this.#checkLimits(size, usage);
    const kept = reuse ? this.#takeFree(keyOf(size, usage)) : undefined;
    const buffer = kept ?? this.#device.createBuffer({ size, usage, mappedAtCreation });
    if (kept === undefined) this.numBytesAllocated += size;
    this.#used.add(buffer);
    this.numBytesUsed += size;
    return buffer;
  }

  releaseBuffer(buffer: GPUBuffer, reuse = true): void {
    if (!this.#used.delete(buffer)) {
      this.#former?.releaseBuffer(buffer, reuse);
      return;
    }
    const { size } = buffer;
    this.numBytesUsed -= size;
    if (!reuse) {
      this.numBytesAllocated -= size;
      this.#condemned.push(buffer);
      return;
    }
    const key = keyOf(size, buffer.usage);
    const list = this.#free.get(key) ?? [];
    list.push(buffer);
    // Moves the key to the end.
    this.#free.delete(key);
    this.#free.set(key, list);
    this.#freeCount++;
    this.#trim();
  }

  /** Destroys a buffer that is not of this pool, once the commands that name it were submitted. */
  retire(buffer: GPUBuffer): void {
    this.#condemned.push(buffer);
  }

  /** Call it after a submission: what was to go can go now. */
  sweep(): void {
    for (const buffer of this.#condemned) buffer.destroy();
    this.#condemned = [];
  }

  getNumUsedBuffers(): number {
    return this.#used.size;
  }

  getNumFreeBuffers(): number {
    return this.#freeCount;
  }

  dispose(): void {
    this.sweep();
    this.#former?.dispose();
    for (const list of this.#free.values()) for (const buffer of list) buffer.destroy();
    for (const buffer of this.#used) buffer.destroy();
    this.#free.clear();
    this.#used.clear();
    this.#freeCount = 0;
    this.numBytesUsed = 0;
    this.numBytesAllocated = 0;
  }

  #takeFree(key: string): GPUBuffer | undefined {
    const list = this.#free.get(key);
    const buffer = list?.pop();
    if (buffer === undefined) return undefined;
    if (list!.length === 0) this.#free.delete(key);
    this.#freeCount--;
    return buffer;
  }

  #trim(): void {
    for (const [key, list] of this.#free) {
      while (list.length > 0) {
        if (this.numBytesAllocated - this.numBytesUsed <= this.#maxFreeBytes) return;
        const buffer = list.shift()!;
        this.#freeCount--;
        this.numBytesAllocated -= buffer.size;
        this.#condemned.push(buffer);
      }
      this.#free.delete(key);
    }
  }

  #checkLimits(size: number, usage: number): void {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.limits;
    const limit = (usage & STORAGE) === 0 ? maxBufferSize : Math.min(maxBufferSize, maxStorageBufferBindingSize);
    if (size <= limit) return;
    throw new MarianaError(
      'OUT_OF_MEMORY',
      `webgpu: a tensor of ${size} bytes is over this device's limit of ${limit} bytes for one buffer; ` +
        'work on fewer tokens at a time',
      { details: { bytes: size, limit } },
    );
  }
}

function keyOf(size: number, usage: number): string {
  return `${size}:${usage}`;
}
