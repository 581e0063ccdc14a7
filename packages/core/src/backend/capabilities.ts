/** What a backend says about itself, so that nothing is found out by crashing. */
import type { WeightFormat } from './weight.ts';

export interface Capabilities {
  /** Weight formats held as they come; any other is converted once, at load, to the first of the list. */
  readonly weightFormats: readonly WeightFormat[];
  /** Threads that compute, the caller's included. 1 where there is no shared memory; 0 where a device computes. */
  readonly threads: number;
  /** Whether kernels may compute in F16 on the device. */
  readonly shaderF16: boolean;
  /** Bytes that weights and tensors may take together, or undefined if the backend cannot know. */
  readonly memoryBudget: number | undefined;
}

/** What a backend holds at this moment. */
export interface MemoryUse {
  /** Tensor handles that were made and not yet disposed. */
  readonly tensors: number;
  /** Bytes of the storage behind them and of packed weights. */
  readonly bytes: number;
}
