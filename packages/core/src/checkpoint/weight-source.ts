/**
 * How weights lie in a checkpoint: under which names, in which dtypes, with which scales beside them. This is the one
 * place that knows that FP8 weights come with `weight_scale_inv`, and converted integer ones with `weight_scale`.
 */
import type { Backend, WeightSource } from '../backend/index.ts';
import type { Tensor } from '../backend/tensor.ts';
import { bytesToF32, type DType, GROUP_SIZE } from '../dtype/index.ts';
import { MarianaError } from '../errors.ts';
import { type ByteSource, readBytes } from '../formats/source.ts';
import { finiteSource } from './finite-source.ts';
import type { TensorReader } from './tensor-reader.ts';

export interface WeightSourceOptions {
  /** Rows and columns of an FP8 block (`quantization_config.weight_block_size`). Default [128, 128]. */
  readonly blockSize?: readonly [number, number];
}

/**
 * A weight matrix of a checkpoint, to be read when a backend loads it.
 *
 * - F32, BF16, F16: as it lies.
 * - F8_E4M3 [out, in] with `<name>_scale_inv` F32 [ceil(out / 128), ceil(in / 128)]: block-scaled FP8.
 * - I8 [out, in] with `<name>_scale` F32 [out, ceil(in / group)]: INT8, groups of 32, 64 or 128 inputs.
 * - U8 [out, ceil(in / 2)] with `<name>_scale` F32 [out, ceil(in / group)]: INT4, likewise.
 *
 * @param shape - [out, in] that the config asks for.
 * @throws MarianaError `TENSOR_MISSING`, `TENSOR_MISMATCH`. Reading scales throws `TENSOR_INVALID` if one is not finite.
 */
export function weightSource(
  reader: TensorReader,
  name: string,
  shape: readonly [number, number],
  { blockSize = [128, 128] }: WeightSourceOptions = {},
): WeightSource {
  const [rows, columns] = shape;
  const { dtype } = reader.info(name);
  switch (dtype) {
    case 'f32':
    case 'bf16':
    case 'f16':
      return { name, format: dtype, shape, values: tensor(reader, name, [dtype], shape) };
    case 'e4m3': {
      const values = tensor(reader, name, ['e4m3'], shape);
      const grid = [Math.ceil(rows / blockSize[0]), Math.ceil(columns / blockSize[1])];
      const scales = scalesOf(reader, `${name}_scale_inv`, grid);
      return { name, format: 'fp8', shape, values, scales, blockSize };
    }
    case 'i8':
      return integers(reader, name, 'int8', shape, tensor(reader, name, ['i8'], shape));
    case 'u8':
      return integers(reader, name, 'int4', shape, tensor(reader, name, ['u8'], [rows, Math.ceil(columns / 2)]));
    default:
      throw new MarianaError(
        'TENSOR_MISMATCH',
        `${name}: a weight cannot be ${dtype}; expected F32, BF16, F16, F8_E4M3, I8 or U8`,
        { details: { tensor: name, dtype } },
      );
  }
}

/** Group sizes that are read, the smallest first: of those that a row is too short to tell apart it pads least. */
const GROUP_SIZES = [32, 64, 128];

/** Grouped integers, whose scales tell by their number how large a group is. */
function integers(
  reader: TensorReader,
  name: string,
  format: 'int8' | 'int4',
  shape: readonly [number, number],
  values: ByteSource,
): WeightSource {
  const [rows, columns] = shape;
  const scaleName = `${name}_scale`;
  const groups = reader.info(scaleName).shape[1];
  const groupSize = GROUP_SIZES.find((size) => Math.ceil(columns / size) === groups) ?? GROUP_SIZE[format];
  const scales = scalesOf(reader, scaleName, [rows, Math.ceil(columns / groupSize)]);
  return { name, format, shape, values, scales, groupSize };
}

/**
 * Reads a vector (a norm's weight, a router's bias) as F32 and uploads it; the caller owns the tensor.
 *
 * @throws MarianaError `TENSOR_MISSING`, `TENSOR_MISMATCH`.
 */
export async function readVector(
  reader: TensorReader,
  name: string,
  length: number,
  backend: Backend,
): Promise<Tensor> {
  const source = tensor(reader, name, ['f32', 'bf16', 'f16'], [length]);
  const values = bytesToF32(reader.info(name).dtype, await readBytes(source));
  return backend.keep(backend.upload(values, [length]));
}

/** Scales, refused when they are read if one is not finite. */
function scalesOf(reader: TensorReader, name: string, shape: readonly number[]): ByteSource {
  return finiteSource(tensor(reader, name, ['f32'], shape), name);
}

function tensor(reader: TensorReader, name: string, dtypes: readonly DType[], shape: readonly number[]): ByteSource {
  const info = reader.info(name);
  if (!dtypes.includes(info.dtype)) {
    throw new MarianaError('TENSOR_MISMATCH', `${name}: dtype is ${info.dtype}, expected ${dtypes.join(' or ')}`, {
      details: { tensor: name, dtype: info.dtype, expected: dtypes },
    });
  }
  if (info.shape.length !== shape.length || info.shape.some((size, axis) => size !== shape[axis])) {
    throw new MarianaError(
      'TENSOR_MISMATCH',
      `${name}: shape is [${info.shape.join(', ')}], the config asks for [${shape.join(', ')}]`,
      { details: { tensor: name, shape: info.shape, expected: shape } },
    );
  }
  return reader.source(name);
}
