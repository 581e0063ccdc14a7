/**
 * The part of tfjs-backend-webgpu's `WebGPUBackend` that the scheduler works with, as a structural type: its typings
 * bring a second copy of WebGPU's, which does not go with the one of the DOM. Some of these members are private to tfjs
 * 4.22; they are checked when an engine starts.
 */

import type { TfModule, TfTensor } from '@mariana/backend-tfjs';
import { MarianaError } from '@mariana/core';
import type { BufferManagerLike } from './buffer-pool.ts';

/** What tfjs knows of the values of a tensor. */
interface TensorEntry {
  /** Values on the host: not uploaded yet, or a copy from the last read. */
  values: unknown;
  resource?: GPUBuffer | null;
  refCount: number;
}

/** A tensor to be, of which tfjs does not keep count yet. */
interface TensorInfo {
  readonly dataId: object;
  readonly shape: readonly number[];
  readonly dtype: string;
}

export interface TfjsWebGpu {
  readonly device: GPUDevice;
  bufferManager: BufferManagerLike;
  commandEncoder: GPUCommandEncoder | null;
  computePassEncoder: GPUComputePassEncoder | null;
  readonly tensorMap: { get(dataId: object): TensorEntry };
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
  uploadToGPU(dataId: object): void;
  makeTensorInfo(shape: readonly number[], dtype: string): TensorInfo;
  runWebGPUProgram(...args: unknown[]): unknown;
}

/** The part of tfjs's engine that makes tensors without running an operation. */
interface TfEngine {
  readonly registry: Readonly<Record<string, unknown>>;
  readonly registryFactory: Readonly<Record<string, unknown>>;
  makeTensorFromTensorInfo(info: TensorInfo, backend: unknown): TfTensor & { kept: boolean };
}

/** The namespace of TensorFlow.js, with what this package needs beside what the adapter needs. */
export interface WebGpuTfModule<T extends TfTensor = TfTensor> extends TfModule<T> {
  engine(): TfEngine;
  registerBackend(name: string, factory: () => unknown, priority?: number): boolean;
  removeBackend(name: string): void;
}

const METHODS = [
  'ensureCommandEncoderReady',
  'endComputePassEncoder',
  'submitQueue',
  'uploadToGPU',
  'makeTensorInfo',
  'runWebGPUProgram',
] as const;

/** @throws MarianaError `BACKEND_UNAVAILABLE` if another version of tfjs has other insides. */
export function checkInsides(candidate: unknown): TfjsWebGpu {
  const backend = candidate as TfjsWebGpu;
  const missing = METHODS.filter((name) => typeof backend[name] !== 'function');
  const fields = (['device', 'bufferManager', 'tensorMap'] as const).filter((name) => backend[name] === undefined);
  if (missing.length + fields.length === 0 && 'commandEncoder' in backend && 'computePassEncoder' in backend) {
    return backend;
  }
  throw new MarianaError(
    'BACKEND_UNAVAILABLE',
    `webgpu: this tfjs-backend-webgpu has no ${[...missing, ...fields].join(', ') || 'command encoder'}; use version 4.22`,
  );
}
