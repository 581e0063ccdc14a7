/**
 * The number formats that tensors on a backend have, and the typed array in which each crosses the border between a
 * backend and its caller. JavaScript has no BF16 or FP8 arrays, so those formats travel as arrays of unsigned codes:
 * the bit pattern of each value, to be read with the codecs of this folder.
 */

/**
 * The format of the elements of a backend tensor: a subset of `DType`. Sums and products are made in `f32`; the
 * 16-bit and 8-bit floats are formats of storage; `i32` holds token ids and indices; `i8` and `u8` hold the codes of
 * quantised weights.
 */
export type TensorDType = 'f32' | 'i32' | 'bf16' | 'f16' | 'e4m3' | 'e5m2' | 'i8' | 'u8';

/** The members of `TensorDType` that stand for real numbers. */
export type FloatDType = 'f32' | 'bf16' | 'f16' | 'e4m3' | 'e5m2';

/** Which typed array carries the elements of each `TensorDType`. */
export interface TensorDataByDType {
  f32: Float32Array;
  i32: Int32Array;
  /** BF16 codes. */
  bf16: Uint16Array;
  /** IEEE binary16 codes. */
  f16: Uint16Array;
  /** E4M3FN codes. */
  e4m3: Uint8Array;
  /** E5M2 codes. */
  e5m2: Uint8Array;
  i8: Int8Array;
  u8: Uint8Array;
}

/** The typed array of a `TensorDType`: `TensorData<'bf16'>` is `Uint16Array`. Any kind of buffer may be behind it. */
export type TensorData<D extends TensorDType = TensorDType> = TensorDataByDType[D];

type TensorArrayConstructor<D extends TensorDType> = {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): TensorData<D>;
  new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): TensorData<D>;
};

const ARRAYS: { readonly [D in TensorDType]: TensorArrayConstructor<D> } = {
  f32: Float32Array,
  i32: Int32Array,
  bf16: Uint16Array,
  f16: Uint16Array,
  e4m3: Uint8Array,
  e5m2: Uint8Array,
  i8: Int8Array,
  u8: Uint8Array,
};

/** Every `TensorDType`. */
export const TENSOR_DTYPES: readonly TensorDType[] = Object.freeze(Object.keys(ARRAYS) as TensorDType[]);

/** Every `FloatDType`. */
export const FLOAT_DTYPES: readonly FloatDType[] = Object.freeze(['f32', 'bf16', 'f16', 'e4m3', 'e5m2'] as const);

/** Whether `value` names a `TensorDType`. */
export function isTensorDType(value: unknown): value is TensorDType {
  return typeof value === 'string' && Object.hasOwn(ARRAYS, value);
}

/** Whether `value` names a `FloatDType`. */
export function isFloatDType(value: unknown): value is FloatDType {
  return (FLOAT_DTYPES as readonly unknown[]).includes(value);
}

/** A zeroed array for `length` elements of `dtype`. For every float format, all-zero codes mean 0. */
export function allocateTensorData<D extends TensorDType>(dtype: D, length: number): TensorData<D> {
  return new ARRAYS[dtype](length);
}

/**
 * Little-endian `bytes` seen as elements of `dtype`, sharing memory where alignment allows and copied otherwise.
 * `bytes.byteLength` must be a multiple of the element size: a `RangeError` of the typed array says so otherwise.
 */
export function viewAsTensorData<D extends TensorDType>(dtype: D, bytes: Uint8Array): TensorData<D> {
  const Constructor = ARRAYS[dtype];
  const size = Constructor.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return new Constructor(aligned.buffer, aligned.byteOffset, aligned.byteLength / size);
}
