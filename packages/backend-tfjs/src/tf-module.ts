/**
 * The part of TensorFlow.js that this adapter calls, as structural types. They stand in for tfjs's own typings, which
 * need `skipLibCheck` and name DOM and WebGL types, so that a program that uses this package does not have to compile
 * them. The namespace of `@tensorflow/tfjs-core`, `@tensorflow/tfjs` or `@tensorflow/tfjs-node` fits `TfModule` as it
 * is, without a cast.
 */

/** The dtypes of tfjs that this adapter holds values in. */
export type TfDType = 'float32' | 'int32';

/** The values of a tfjs tensor on the host. */
export type TfValues = Float32Array | Int32Array | Uint8Array;

/** A `tf.Tensor`, as far as this adapter looks at it. */
export interface TfTensor {
  readonly shape: readonly number[];
  /** `float32`, `int32`, `bool`, `complex64` or `string`. */
  readonly dtype: string;
  /** Identity of the values; several tensors may share them. */
  readonly dataId: object;
  /** Whether `tf.keep` took it out of `tf.tidy`'s hands. */
  readonly kept: boolean;
  readonly isDisposed: boolean;
  data(): Promise<TfValues>;
  dataSync(): TfValues;
  dispose(): void;
}

/** The namespace of TensorFlow.js, as far as this adapter uses it. `T` is its tensor class. */
export interface TfModule<T extends TfTensor = TfTensor> {
  setBackend(name: string): Promise<boolean>;
  getBackend(): string;
  ready(): Promise<void>;

  tidy(body: () => T | T[]): unknown;
  keep(x: T): T;
  clone(x: T): T;

  tensor(values: Float32Array | Int32Array, shape: number[], dtype: TfDType): T;
  scalar(value: number, dtype: TfDType): T;
  fill(shape: number[], value: number, dtype: TfDType): T;

  reshape(x: T, shape: number[]): T;
  cast(x: T, dtype: TfDType): T;
  broadcastTo(x: T, shape: number[]): T;
  transpose(x: T, permutation: number[]): T;
  slice(x: T, begin: number[], size: number[]): T;
  concat(tensors: T[], axis: number): T;
  gather(x: T, indices: T, axis: number): T;
  scatterND(indices: T, updates: T, shape: number[]): T;
  tensorScatterUpdate(x: T, indices: T, updates: T): T;

  neg(x: T): T;
  abs(x: T): T;
  floor(x: T): T;
  ceil(x: T): T;
  round(x: T): T;
  exp(x: T): T;
  log(x: T): T;
  sqrt(x: T): T;
  rsqrt(x: T): T;
  sigmoid(x: T): T;
  isNaN(x: T): T;
  clipByValue(x: T, low: number, high: number): T;

  add(a: T, b: T): T;
  sub(a: T, b: T): T;
  mul(a: T, b: T): T;
  div(a: T, b: T): T;
  maximum(a: T, b: T): T;
  minimum(a: T, b: T): T;
  equal(a: T, b: T): T;
  notEqual(a: T, b: T): T;
  less(a: T, b: T): T;
  lessEqual(a: T, b: T): T;
  greater(a: T, b: T): T;
  greaterEqual(a: T, b: T): T;
  logicalAnd(a: T, b: T): T;
  logicalOr(a: T, b: T): T;
  where(condition: T, a: T, b: T): T;

  sum(x: T, axis: number): T;
  max(x: T, axis: number): T;
  any(x: T, axis: number): T;
  matMul(a: T, b: T, transposeA: boolean, transposeB: boolean): T;
  topk(x: T, k: number, sorted: boolean): { values: T; indices: T };
}

/** What the tensor class of a tfjs namespace is read from. */
export interface TfNamespace {
  clone(x: never): TfTensor;
}

/** The tensor class of a tfjs namespace: `tf.Tensor` for `typeof tf`. */
export type TensorOf<Tf extends TfNamespace> = ReturnType<Tf['clone']>;
