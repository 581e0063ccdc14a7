/**
 * The FP8 linear layer of training: y = x W^T with all three products on E4M3 operands, scaled online and accumulated in
 * F32. Each is a function of its own; `fp8Linear` ties them together as one differentiable operation.
 *
 * Scales follow the dimension that a product sums over: along `in` for y = x W^T, along `out` for dx = dy W, along the
 * tokens for dW = dy^T x. Only the square blocks of W serve twice. The activation for dW is not quantised anew from the
 * original but from its FP8 form, which is all that a training step keeps of it: a quarter of the memory.
 *
 * Operands are multiplied as F32 values of their codes and scales, which is what tensor cores compute but for the order
 * of summation.
 *
 * Source: DeepSeek-V3 report, sections 3.3 and 3.5.2.
 */
import type { Backend, ScaleFormat, Tensor } from '@mariana/core';
import { differentiable } from '../autodiff/differentiable.ts';
import {
  dequantizeFp8Blocks,
  dequantizeFp8Tiles,
  type Fp8Blocks,
  type Fp8Tiles,
  quantizeFp8Blocks,
  quantizeFp8Tiles,
} from './quantize.ts';

/** Looks on while operands are quantised, to measure them. It must not change or free what it is shown. */
export interface Fp8Observer {
  /**
   * @param backend - What computes; tensors made on it live until the scope around the product ends, unless kept.
   * @param values - F32, before quantisation.
   * @param quantized - The same in tiles or blocks.
   */
  observe(
    backend: Backend,
    operand: 'activation' | 'weight' | 'gradient',
    values: Tensor,
    quantized: Fp8Tiles | Fp8Blocks,
  ): void;
}

/** Scale formats of the three operands of an FP8 linear layer. */
export interface Fp8LinearOptions {
  /** Of activations. Default `f32`. */
  readonly inputScale?: ScaleFormat;
  /** Of the weight. Default `f32`. */
  readonly weightScale?: ScaleFormat;
  /** Of gradients. Default `f32`. */
  readonly gradientScale?: ScaleFormat;
  /** Sees the operands of `fp8Linear`: activations and gradients in the tiles of Fprop and Dgrad, weights in blocks. */
  readonly observer?: Fp8Observer;
}

/**
 * Forward product (Fprop).
 *
 * @param x - F32 [tokens, in].
 * @param weight - The weight [out, in] in blocks.
 * @returns `y`: F32 [tokens, out]; `x`: the activation in tiles along `in`, for the weight gradient.
 */
export function fp8Forward(
  backend: Backend,
  x: Tensor,
  weight: Fp8Blocks,
  { inputScale = 'f32' }: Fp8LinearOptions = {},
): { y: Tensor; x: Fp8Tiles } {
  return backend.scope(() => {
    const tiles = quantizeFp8Tiles(backend, x, { scaleFormat: inputScale });
    const operand = dequantizeFp8Tiles(backend, tiles);
    const y = backend.matmul(operand, dequantizeFp8Blocks(backend, weight), { transposeB: true });
    return { y, x: tiles };
  });
}

/**
 * Gradient of the input (Dgrad).
 *
 * @param dy - F32 [tokens, out].
 * @param weight - The weight [out, in] in the blocks of the forward product.
 * @returns `dx`: F32 [tokens, in]; `dy`: the gradient in tiles along `out`.
 */
export function fp8InputGradient(
  backend: Backend,
  dy: Tensor,
  weight: Fp8Blocks,
  options?: Fp8LinearOptions,
): { dx: Tensor; dy: Fp8Tiles } {
  return backend.scope(() => inputGradient(backend, dy, dequantizeFp8Blocks(backend, weight), options));
}

/** Dgrad by the F32 values of the weight's blocks. */
function inputGradient(
  backend: Backend,
  dy: Tensor,
  weight: Tensor,
  { gradientScale = 'f32', observer }: Fp8LinearOptions = {},
): { dx: Tensor; dy: Fp8Tiles } {
  return backend.scope(() => {
    const tiles = quantizeFp8Tiles(backend, dy, { scaleFormat: gradientScale });
    observer?.observe(backend, 'gradient', dy, tiles);
    return { dx: backend.matmul(dequantizeFp8Tiles(backend, tiles), weight), dy: tiles };
  });
}

/**
 * Gradient of the weight (Wgrad).
 *
 * @param dy - F32 [tokens, out], not quantised.
 * @param x - The activation [tokens, in] as the forward product quantised it.
 * @returns `dw`: F32 [out, in]; and both operands, transposed, in tiles along the tokens: `dy` [out, tokens] and `x`
 *   [in, tokens].
 */
export function fp8WeightGradient(
  backend: Backend,
  dy: Tensor,
  x: Fp8Tiles,
  { inputScale = 'f32', gradientScale = 'f32' }: Fp8LinearOptions = {},
): { dw: Tensor; dy: Fp8Tiles; x: Fp8Tiles } {
  return backend.scope(() => {
    const transposed = (matrix: Tensor, scaleFormat: ScaleFormat) =>
      quantizeFp8Tiles(backend, backend.transpose(matrix, [1, 0]), { scaleFormat });
    const left = transposed(dy, gradientScale);
    const right = transposed(dequantizeFp8Tiles(backend, x), inputScale);
    const dw = backend.matmul(dequantizeFp8Tiles(backend, left), dequantizeFp8Tiles(backend, right), {
      transposeB: true,
    });
    return { dw, dy: left, x: right };
  });
}

/**
 * y = x W^T in FP8, differentiable by x and W.
 *
 * @param x - F32 [..., in].
 * @param weight - F32 [out, in]: the master weight.
 * @param rounded - The F32 values that the weight has in FP8 (`dequantizeFp8Blocks` of `quantizeFp8Blocks`), on the
 *   backend that computes, for callers that use a weight more than once. Default: made here.
 * @returns F32 [..., out].
 */
export function fp8Linear(
  backend: Backend,
  x: Tensor,
  weight: Tensor,
  options: Fp8LinearOptions = {},
  rounded?: Tensor,
): Tensor {
  const [out, inputs] = weight.shape as [number, number];
  return backend.scope(() => {
    const rows = backend.reshape(x, [inputs === 0 ? 0 : x.size / inputs, inputs]);
    const y = differentiable(backend, 'fp8Linear', [rows, weight], (inner, [activations, master]) => {
      const matrix = rounded ?? roundToFp8(inner, master!, options);
      const tiles = quantizeFp8Tiles(inner, activations!, { scaleFormat: options.inputScale ?? 'f32' });
      options.observer?.observe(inner, 'activation', activations!, tiles);
      return {
        output: inner.matmul(dequantizeFp8Tiles(inner, tiles), matrix, { transposeB: true }),
        saved: [tiles.codes, tiles.scales, matrix],
        backward: (dy, [codes, scales, savedMatrix], [needsInput, needsWeight]) => [
          needsInput ? inputGradient(inner, dy, savedMatrix!, options).dx : undefined,
          needsWeight ? fp8WeightGradient(inner, dy, { codes: codes!, scales: scales! }, options).dw : undefined,
        ],
      };
    });
    return backend.reshape(y, [...x.shape.slice(0, -1), out]);
  });
}

/** The F32 values that a weight has once it went through FP8. */
export function roundToFp8(
  backend: Backend,
  weight: Tensor,
  { weightScale = 'f32', observer }: Fp8LinearOptions = {},
): Tensor {
  return backend.scope(() => {
    const blocks = quantizeFp8Blocks(backend, weight, { scaleFormat: weightScale });
    observer?.observe(backend, 'weight', weight, blocks);
    return dequantizeFp8Blocks(backend, blocks);
  });
}
