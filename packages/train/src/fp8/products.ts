/**
 * Mixed precision: how the products with one weight are computed while its master copy stays in F32. A product keeps the
 * weight in its short form for as long as the parameter lives, which is one training step: forward and backward, and all
 * micro-batches, use the same numbers.
 */
import type { Tensor } from '@mariana/core';
import type { LinearProduct, RecordingBackend } from '../autodiff/index.ts';
import { type Fp8LinearOptions, fp8Linear, roundToFp8 } from './linear.ts';

/** Number format of the operands of linear layers; sums, master weights and gradients are F32 in each. */
export type Precision = 'f32' | 'bf16' | 'fp8';

/** All three products on E4M3 operands (`fp8Linear`). */
export class Fp8Product implements LinearProduct {
  readonly #options: Fp8LinearOptions;
  #weight: Tensor | undefined;

  constructor(options: Fp8LinearOptions = {}) {
    this.#options = options;
  }

  linear(backend: RecordingBackend, x: Tensor, weight: Tensor): Tensor {
    const { inner } = backend;
    this.#weight ??= inner.keep(roundToFp8(inner, backend.unwrap(weight), this.#options));
    return fp8Linear(backend, x, weight, this.#options, this.#weight);
  }

  [Symbol.dispose](): void {
    this.#weight?.dispose();
    this.#weight = undefined;
  }
}

/** All three products on operands rounded to BF16; the activation is kept in BF16. */
export class Bf16Product implements LinearProduct {
  #weight: Tensor | undefined;

  linear(backend: RecordingBackend, x: Tensor, weight: Tensor): Tensor {
    const { inner } = backend;
    const round = (tensor: Tensor) => inner.scope(() => inner.cast(inner.cast(tensor, 'bf16'), 'f32'));
    this.#weight ??= inner.keep(round(backend.unwrap(weight)));
    const rounded = this.#weight;
    const [out, inputs] = weight.shape as [number, number];
    return backend.scope(() => {
      const rows = backend.reshape(x, [inputs === 0 ? 0 : x.size / inputs, inputs]);
      const y = backend.custom('bf16Linear', [rows, weight], (_, [activations]) => {
        const short = inner.cast(activations!, 'bf16');
        return {
          output: inner.matmul(inner.cast(short, 'f32'), rounded, { transposeB: true }),
          saved: [short, rounded],
          backward: (gradient, [input, matrix], [needsInput, needsWeight]) => {
            const dy = round(gradient);
            return [
              needsInput ? inner.matmul(dy, matrix!) : undefined,
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
