/** Timing of matrix-vector products that are done again and again, the same way for Mariana and for TensorFlow.js. */
import { type Timed, time } from '../machine.ts';

export interface ProductRequest {
  readonly rows: number;
  readonly cols: number;
  /** How long to go on, in milliseconds. */
  readonly ms: number;
}

export type ProductAnswer = Timed & { readonly products: number };

/** Repeats `product`, for about `ms` milliseconds after a warm-up of a tenth of that. */
export async function repeat(product: () => unknown, ms: number): Promise<ProductAnswer> {
  let products = 0;
  const until = async (limit: number) => {
    const end = performance.now() + limit;
    do {
      await product();
      products++;
    } while (performance.now() < end);
  };
  await until(ms / 10);
  products = 0;
  const spent = await time(() => until(ms));
  return { ...spent, products };
}

/** Numbers between -1 and 1. */
export function randomNumbers(length: number): Float32Array {
  return Float32Array.from({ length }, () => Math.random() * 2 - 1);
}
