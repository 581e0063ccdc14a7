/** What a caller can choose about the CPU backend, checked. */
import { MarianaError, type WeightFormat } from '@mariana/core';
import type { KernelBuild, RelaxedDot } from './wasm/index.ts';

export interface CpuOptions {
  /**
   * Format that weights are held in. `native` (default) keeps each as the checkpoint has it. `int8` and `int4` quantise
   * while loading, but for routers and embeddings.
   */
  readonly weights?: 'native' | 'fp8' | 'int8' | 'int4' | 'f32';
  /** Threads that compute, the calling one included. Default: the number of cores, 1 without SharedArrayBuffer. */
  readonly threads?: number;
  /** Build of the kernels. Default: the best that the engine runs. */
  readonly build?: KernelBuild;
  /**
   * Bits to which activations are rounded before they meet INT8 or INT4 weights. Default: 16, which is nearly lossless,
   * where the machine's instructions make it cost nothing (`layout` pair), else 8.
   */
  readonly activationBits?: 8 | 16;
  /**
   * Let V8 join vectors to 256 bits, which makes matrix products up to twice as fast and changes no number: needs Node 24
   * or newer on x64. This sets a flag of V8 that is experimental, for the whole process. Default: only if the process was
   * started with that flag, `--experimental-wasm-revectorize`.
   */
  readonly wideVectors?: boolean;
  /** Bytes that weights and tensors may take. Default: what the machine has, where that can be known. */
  readonly memoryBudget?: number;
  /** Bytes that each memory may grow to; weights go on in another one when it is full. Default: 4 GiB. */
  readonly arenaBytes?: number;
  /** Use a memory that threads can share. Default: if the engine has SharedArrayBuffer. */
  readonly shared?: boolean;
  /** What the machine's relaxed dot product does, instead of trying it out; for tests. */
  readonly relaxedDot?: RelaxedDot;
}

export interface CheckedCpuOptions {
  readonly weights: WeightFormat | 'native';
  readonly activationBits: 8 | 16 | undefined;
  readonly memoryBudget: number | undefined;
}

const WEIGHTS = ['native', 'fp8', 'int8', 'int4', 'f32'];

/** @throws MarianaError `INVALID_ARGUMENT` */
export function checkOptions({
  weights = 'native',
  activationBits,
  memoryBudget = availableMemory(),
}: CpuOptions): CheckedCpuOptions {
  if (!WEIGHTS.includes(weights)) {
    throw new MarianaError('INVALID_ARGUMENT', `cpu: weights is ${weights}; it must be one of ${WEIGHTS.join(', ')}`);
  }
  if (activationBits !== undefined && activationBits !== 8 && activationBits !== 16) {
    throw new MarianaError('INVALID_ARGUMENT', `cpu: activationBits is ${activationBits}; it must be 8 or 16`);
  }
  return { weights, activationBits, memoryBudget };
}

/** Bytes that this process can still have, where the host says so. */
function availableMemory(): number | undefined {
  return globalThis.process?.availableMemory?.();
}
