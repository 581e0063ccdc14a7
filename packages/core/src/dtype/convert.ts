/**
 * Whole arrays from one number format to another, always by way of float32: `toF32` and `fromF32` for the formats of
 * tensors, `bytesToF32` for every format that a file may hold.
 */

import { MarianaError } from '../errors.ts';
import { bytesPerElement, type DType } from './dtype.ts';
import { viewBits } from './float-bits.ts';
import { decodeE8m0, E4M3_VALUES, E5M2_VALUES, e4m3FromBits, e5m2FromBits } from './float8.ts';
import { bf16FromBits, decodeF16, F16_SMALLEST_NORMAL, f16FromBits, f16ToBits } from './float16.ts';
import { allocateTensorData, type FloatDType, type TensorData, type TensorDType } from './tensor-dtype.ts';

/**
 * The values of `data` as float32. Exact for every format but `i32`, where integers beyond 2^24 are rounded to the
 * nearest float32.
 *
 * @param out where to write them, of the same length; a new array by default. May be `data` itself if that is `f32`.
 * @throws MarianaError `SHAPE_MISMATCH` if `out` has another length.
 */
export function toF32<D extends TensorDType>(dtype: D, data: TensorData<D>, out?: Float32Array): Float32Array {
  const values = checkedOutput(out, data.length) ?? new Float32Array(data.length);
  switch (dtype) {
    case 'bf16': {
      const bits = viewBits(values);
      for (let i = 0; i < data.length; i++) bits[i] = data[i]! << 16;
      break;
    }
    case 'f16':
      decodeF16Into(data, values);
      break;
    case 'e4m3':
      lookUp(E4M3_VALUES, data, values);
      break;
    case 'e5m2':
      lookUp(E5M2_VALUES, data, values);
      break;
    default:
      values.set(data);
  }
  return values;
}

/** How `fromF32` converts. */
export interface FromF32Options<D extends FloatDType = FloatDType> {
  /** Where to write, of the same length as the values; a new array by default. */
  out?: TensorData<D>;
  /** Whether `e5m2` stops at ±57344 (default true) or overflows to infinity. `e4m3` has no infinity: it always stops. */
  saturate?: boolean;
}

/**
 * Float32 `values` rounded to `dtype`: nearest, ties to even. `bf16` and `f16` overflow to infinity, `e4m3` and `e5m2`
 * saturate. NaN stays NaN. `f32` copies.
 *
 * @throws MarianaError `SHAPE_MISMATCH` if `options.out` has another length than `values`.
 */
export function fromF32<D extends FloatDType>(
  dtype: D,
  values: Float32Array,
  options: FromF32Options<D> = {},
): TensorData<D> {
  const data = checkedOutput(options.out, values.length) ?? allocateTensorData(dtype, values.length);
  const saturate = options.saturate ?? true;
  const bits = viewBits(values);
  switch (dtype) {
    case 'bf16':
      for (let i = 0; i < bits.length; i++) data[i] = bf16FromBits(bits[i]!);
      break;
    case 'f16':
      for (let i = 0; i < bits.length; i++) data[i] = f16FromBits(bits[i]!);
      break;
    case 'e4m3':
      for (let i = 0; i < bits.length; i++) data[i] = e4m3FromBits(bits[i]!);
      break;
    case 'e5m2':
      for (let i = 0; i < bits.length; i++) data[i] = e5m2FromBits(bits[i]!, saturate);
      break;
    default:
      data.set(values);
  }
  return data;
}

/**
 * Little-endian `bytes` of any stored format as float32. `f64` and integers beyond 2^24 are rounded to the nearest
 * float32; `bool` gives 0 or 1.
 *
 * @param out where to write the values, one for each element; a new array by default.
 * @throws MarianaError `SHAPE_MISMATCH` if `bytes` does not hold a whole number of elements, or not as many as `out`.
 */
export function bytesToF32(dtype: DType, bytes: Uint8Array, out?: Float32Array): Float32Array {
  const length = bytes.byteLength / bytesPerElement(dtype);
  if (!Number.isInteger(length)) {
    throw new MarianaError(
      'SHAPE_MISMATCH',
      `${bytes.byteLength} bytes are not a whole number of ${dtype} elements of ${bytesPerElement(dtype)} bytes`,
    );
  }
  const values = checkedOutput(out, length) ?? new Float32Array(length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (dtype) {
    case 'f64':
      for (let i = 0; i < length; i++) values[i] = view.getFloat64(8 * i, true);
      break;
    case 'f32':
      viewAsBytes(values).set(bytes);
      break;
    case 'f16':
    case 'bf16':
      toF32(dtype, aligned(Uint16Array, bytes), values);
      break;
    case 'e4m3':
    case 'e5m2':
      toF32(dtype, bytes, values);
      break;
    case 'e8m0':
      for (let i = 0; i < length; i++) values[i] = decodeE8m0(bytes[i]!);
      break;
    case 'i64':
      for (let i = 0; i < length; i++) values[i] = Number(view.getBigInt64(8 * i, true));
      break;
    case 'u64':
      for (let i = 0; i < length; i++) values[i] = Number(view.getBigUint64(8 * i, true));
      break;
    case 'i32':
      for (let i = 0; i < length; i++) values[i] = view.getInt32(4 * i, true);
      break;
    case 'u32':
      for (let i = 0; i < length; i++) values[i] = view.getUint32(4 * i, true);
      break;
    case 'i16':
      for (let i = 0; i < length; i++) values[i] = view.getInt16(2 * i, true);
      break;
    case 'u16':
      for (let i = 0; i < length; i++) values[i] = view.getUint16(2 * i, true);
      break;
    case 'i8':
      for (let i = 0; i < length; i++) values[i] = view.getInt8(i);
      break;
    case 'u8':
      values.set(bytes);
      break;
    case 'bool':
      for (let i = 0; i < length; i++) values[i] = bytes[i] === 0 ? 0 : 1;
      break;
  }
  return values;
}

/** The bytes of a typed array, sharing its memory. */
export function viewAsBytes(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function decodeF16Into(codes: ArrayLike<number>, values: Float32Array): void {
  const bits = viewBits(values);
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if ((code & 0x7fff) < F16_SMALLEST_NORMAL) values[i] = decodeF16(code);
    else bits[i] = f16ToBits(code);
  }
}

function lookUp(table: Float32Array, codes: ArrayLike<number>, values: Float32Array): void {
  for (let i = 0; i < codes.length; i++) values[i] = table[codes[i]!]!;
}

function aligned(array: Uint16ArrayConstructor, bytes: Uint8Array): Uint16Array {
  const own = bytes.byteOffset % array.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new array(own.buffer, own.byteOffset, own.byteLength / array.BYTES_PER_ELEMENT);
}

function checkedOutput<T extends { readonly length: number }>(out: T | undefined, length: number): T | undefined {
  if (out !== undefined && out.length !== length) {
    throw new MarianaError('SHAPE_MISMATCH', `the output array has ${out.length} elements, ${length} are needed`);
  }
  return out;
}
