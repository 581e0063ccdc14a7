/**
 * Conversions between dtypes. tfjs has two useful ones: float32 and int32. Only `i32` is held as int32. Everything
 * shorter is held as float32 numbers that the format can express, so that decoding costs nothing, encoding is a
 * rounding, and no engine's integer kernels (of which tfjs-webgpu has some that fail) are needed for it.
 */
import { isFloatDType, type TensorDType } from '@mariana/core';
import type { TfDType, TfModule, TfTensor } from '../tf-module.ts';
import { roundTo } from './rounding.ts';

/** The tfjs dtype that holds a dtype of the contract. */
export function tfDTypeOf(dtype: TensorDType): TfDType {
  return dtype === 'i32' ? 'int32' : 'float32';
}

/** Values of one dtype as another, by way of float32. */
export function castTensor(tf: TfModule, x: TfTensor, from: TensorDType, to: TensorDType): TfTensor {
  if (from === to) return x;
  const values = from === 'i32' ? toFloat32(tf, x) : x;
  if (isFloatDType(to)) return roundTo(tf, values, to);
  const numbers = tf.where(tf.isNaN(values), tf.scalar(0, 'float32'), values);
  if (to === 'i8') return truncate(tf, tf.clipByValue(numbers, -128, 127));
  if (to === 'u8') return truncate(tf, tf.clipByValue(numbers, 0, 255));
  return toInt32(tf, numbers);
}

/** Some engines only relabel the integers as floats; adding zero makes them round. */
export function toFloat32(tf: TfModule, x: TfTensor): TfTensor {
  return tf.add(tf.cast(x, 'float32'), tf.scalar(0, 'float32'));
}

function truncate(tf: TfModule, x: TfTensor): TfTensor {
  return tf.where(tf.less(x, tf.scalar(0, 'float32')), tf.ceil(x), tf.floor(x));
}

/** Towards zero, saturating. */
function toInt32(tf: TfModule, x: TfTensor): TfTensor {
  // 2^31 - 1 is no float32: what is larger than the last float32 below it is replaced after the conversion.
  const within = tf.cast(tf.clipByValue(x, -(2 ** 31), 2 ** 31 - 128), 'int32');
  const above = tf.greaterEqual(x, tf.scalar(2 ** 31, 'float32'));
  return tf.where(above, tf.scalar(2 ** 31 - 1, 'int32'), within);
}
