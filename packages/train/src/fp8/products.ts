/**
 * Mixed precision: how the products with one weight are computed while its master copy stays in F32. A product keeps the
 * weight in its short form for as long as the parameter lives, which is one training step: forward and backward, and all
 * micro-batches, use the same numbers.
 */
import type { Backend, Tensor } from '@mariana/core';
import type { AutodiffBackend, LinearProduct } from '../autodiff/index.ts';
import { type Fp8LinearOptions, fp8Linear } from './linear.ts';
import { type Fp8Blocks, quantizeFp8Blocks } from './quantize.ts';

/** Number format of the operands of linear layers; sums, master weights and gradients are F32 in each. */
export type Precision = 'f32' | 'bf16' | 'fp8';

/** All three products on E4M3 operands (`fp8Linear`). */
export class Fp8Product implements LinearProduct {
  readonly #options: Fp8LinearOptions;
  #blocks: Fp8Blocks | undefined;

  constructor(options: Fp8LinearOptions = {}) {
    this.#options = options;
  }

  linear(backend: AutodiffBackend, x: Tensor, weight: Tensor): Tensor {
    this.#blocks ??= this.#quantize(backend.inner, backend.unwrap(weight));
    return fp8Linear(backend, x, weight, this.#options, this.#blocks);
  }

  #quantize(inner: Backend, weight: Tensor): Fp8Blocks {
    const { codes, scales } = quantizeFp8Blocks(inner, weight, { scaleFormat: this.#options.weightScale ?? 'f32' });
    return { codes: inner.keep(codes), scales: inner.keep(scales) };
  }

  [Symbol.dispose](): void {
    this.#blocks?.codes.dispose();
    this.#blocks?.scales.dispose();
    this.#blocks = undefined;
  }
}

/** All three products on operands rounded to BF16; the activation is kept in BF16. */
export class Bf16Product implements LinearProduct {
  #weight: Tensor | undefined;

  linear(backend: AutodiffBackend, x: Tensor, weight: Tensor): Tensor {
    this.#weight ??= backend.inner.keep(backend.inner.cast(backend.unwrap(weight), 'bf16'));
    const rounded = this.#weight;
    const [out, inputs] = weight.shape as [number, number];
    return backend.scope(() => {
      const rows = backend.reshape(x, [inputs === 0 ? 0 : x.size / inputs, inputs]);
      const y = backend.custom('bf16Linear', [rows, weight], (inner, [activations]) => {
        const short = inner.cast(activations!, 'bf16');
        const output = inner.matmul(inner.cast(short, 'f32'), inner.cast(rounded, 'f32'), { transposeB: true });
        return {
          output,
          saved: [short, rounded],
          backward: (gradient, [input, matrix], [needsInput, needsWeight]) => {
            const dy = inner.cast(inner.cast(gradient, 'bf16'), 'f32');
            return [
              needsInput ? inner.matmul(dy, inner.cast(matrix!, 'f32')) : undefined,
              needsWeight ? inner.matmul(dy, inner.cast(input!, 'f32'), { transposeA: true }) : undefined,
            ];
          },
        };
      });
      return backend.reshape(y, [...x.shape.slice(0, -1), out]);
    });
  }

  [Symbol.dispose](): void {
    this.#weight?.dispose();
    this.#weight = undefined;
  }
}

/**
 * Whether a parameter's products run in the short format: every projection of attention, feed-forward and experts.
 * Embedding, head, router, norms and the projection of the MTP module stay in F32, as does attention itself.
 *
 * @param name - Name in the checkpoint.
 *
 * Source: DeepSeek-V3 report, section 3.3.1; the FP8 tensors of the published checkpoint.
 */
export function usesShortFormat(name: string): boolean {
  return /\.(self_attn|mlp)\..*_proj(_with_mqa)?\.weight$/.test(name);
}

/** The product for a parameter, or undefined for plain F32. */
export function productFor(name: string, precision: Precision, options?: Fp8LinearOptions): LinearProduct | undefined {
  if (precision === 'f32' || !usesShortFormat(name)) return undefined;
  return precision === 'fp8' ? new Fp8Product(options) : new Bf16Product();
}
