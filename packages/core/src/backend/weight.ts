/**
 * Weights know their own format, so that no caller has to: `backend.linear(x, weight)` takes any of them. A
 * `WeightSource` is a weight on its way in (a lazily read piece of a checkpoint); a `Weight` is what a backend made of
 * it, packed as the source was if the backend can hold it so (`capabilities.weightFormats`), else converted once, at
 * load.
 */
import { MarianaError } from '../errors.ts';
import type { ByteSource } from '../formats/source.ts';
import type { Backend } from './backend.ts';
import type { Tensor } from './tensor.ts';

/**
 * How the numbers of a weight matrix [out, in] are stored.
 *
 * - `f32`, `bf16`, `f16`: dense.
 * - `fp8`: E4M3 codes, one F32 scale for each block of `blockSize` (128 x 128), cut at the edges; value = code * scale.
 * - `int8`: signed codes, one F32 scale for each `groupSize` (128) consecutive inputs of a row; value = code * scale.
 * - `int4`: two codes a byte along the inputs, low nibble first, one F32 scale for each `groupSize` (32) inputs;
 *   value = (nibble - 8) * scale.
 */
export type WeightFormat = 'f32' | 'bf16' | 'f16' | 'fp8' | 'int8' | 'int4';

interface WeightSourceBase {
  /** Name in the checkpoint, for messages. */
  readonly name: string;
  /** [out_features, in_features]. */
  readonly shape: readonly [number, number];
  /** The values or codes, row-major, in the byte order of a checkpoint (little endian). */
  readonly values: ByteSource;
}

/** A dense weight matrix. */
export interface DenseWeightSource extends WeightSourceBase {
  readonly format: 'f32' | 'bf16' | 'f16';
}

/** Block-scaled FP8, as DeepSeek ships it: `weight` (E4M3) and `weight_scale_inv` (F32, multiplied despite its name). */
export interface BlockScaledWeightSource extends WeightSourceBase {
  readonly format: 'fp8';
  /** F32 [ceil(out / blockSize[0]), ceil(in / blockSize[1])]. */
  readonly scales: ByteSource;
  /** Rows and columns of a block. */
  readonly blockSize: readonly [number, number];
}

/** Group-scaled integers. */
export interface GroupScaledWeightSource extends WeightSourceBase {
  readonly format: 'int8' | 'int4';
  /** F32 [out, ceil(in / groupSize)]. */
  readonly scales: ByteSource;
  /** Consecutive inputs that share a scale. */
  readonly groupSize: number;
}

/** A weight that can be read when a backend asks for it. */
export type WeightSource = DenseWeightSource | BlockScaledWeightSource | GroupScaledWeightSource;

/** A weight matrix [out, in] in the hands of a backend. Freed by `dispose`; scopes leave weights alone. */
export abstract class Weight implements Disposable {
  readonly backend: Backend;
  /** [out_features, in_features]. */
  readonly shape: readonly [number, number];
  /** How the backend holds it, which may differ from how it came. */
  readonly format: WeightFormat;

  protected constructor(backend: Backend, shape: readonly [number, number], format: WeightFormat) {
    this.backend = backend;
    this.shape = shape;
    this.format = format;
  }

  /** Bytes that the weight takes where it lies, scales included. */
  abstract readonly byteLength: number;

  abstract dispose(): void;

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A weight held as an ordinary tensor: what every backend can do, and what training updates. */
export class DenseWeight extends Weight {
  #tensor: Tensor;

  /**
   * @param tensor - [out, in], dtype `f32`, `bf16` or `f16`; the weight takes it over and disposes it with itself.
   */
  constructor(tensor: Tensor, shape: readonly [number, number], format: 'f32' | 'bf16' | 'f16') {
    super(tensor.backend, shape, format);
    this.#tensor = tensor;
  }

  /** The values, [out, in]. */
  get tensor(): Tensor {
    return this.#tensor;
  }

  /** Puts other values of the same shape and dtype in place, as an optimizer does, and disposes the old ones. */
  replace(tensor: Tensor): void {
    if (tensor.dtype !== this.format || tensor.shape[0] !== this.shape[0] || tensor.shape[1] !== this.shape[1]) {
      throw new MarianaError(
        'SHAPE_MISMATCH',
        `a ${this.format} weight [${this.shape.join(', ')}] cannot take the values of a ${tensor}`,
      );
    }
    if (tensor !== this.#tensor) this.#tensor.dispose();
    this.#tensor = this.backend.keep(tensor);
  }

  get byteLength(): number {
    return this.#tensor.storage.byteLength;
  }

  dispose(): void {
    this.#tensor.dispose();
  }
}
