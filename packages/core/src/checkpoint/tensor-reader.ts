/** What layers need to know of a checkpoint, whatever file format is behind it. */
import type { DType } from '../dtype/index.ts';
import type { ByteSource } from '../formats/source.ts';

/** Named tensors that can be looked at without reading them, and read lazily. */
export interface TensorReader {
  has(name: string): boolean;
  /** @throws MarianaError `TENSOR_MISSING` */
  info(name: string): { readonly dtype: DType; readonly shape: readonly number[] };
  /** The bytes of one tensor, little endian, row-major. @throws MarianaError `TENSOR_MISSING` */
  source(name: string): ByteSource;
}
