/**
 * AdamW: one update of one tensor. The arithmetic is the backend's (`Backend.adamw`), so that parameters never leave the
 * device and a backend may do it in one pass.
 *
 * Readings where the DeepSeek-V3 report is silent: epsilon 1e-8, outside the square root and after bias correction; only
 * tensors of two or more axes decay (as Megatron); BF16 moments are rounded for storage, after the update was computed
 * from the unrounded ones (as TransformerEngine).
 *
 * Source: "Decoupled Weight Decay Regularization" (arXiv 1711.05101); DeepSeek-V3 report, sections 3.3.3 and 4.2.
 */
import type { AdamWOptions, AdamWState, Backend, Tensor } from '@mariana/core';

export type { AdamWOptions, AdamWState };

/**
 * The state after one step, in new tensors: `Backend.adamw` as a function.
 *
 * @param gradient - F32, of the shape of the parameter.
 * @throws MarianaError `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `INVALID_ARGUMENT` for a step below 1.
 */
export function adamwStep(backend: Backend, state: AdamWState, gradient: Tensor, options: AdamWOptions): AdamWState {
  return backend.adamw(state, gradient, options);
}
