/**
 * Writing GGUF files. As for safetensors, tensors are described first and made later: the header needs only names,
 * shapes and types, and the bytes of each tensor are asked for when its turn comes.
 *
 * Format: GGUF specification (ggml/docs/gguf.md), version 3, little-endian.
 */

import { viewAsBytes } from '../../dtype/convert.ts';
import { MarianaError } from '../../errors.ts';
import { quote } from '../quote.ts';
import type { TensorContent } from '../safetensors/writer.ts';
import type { ByteSink } from '../sink.ts';
import { ByteBuilder } from './byte-builder.ts';
import { type GgmlTypeName, ggmlType } from './ggml-types.ts';
import { alignUp, DEFAULT_ALIGNMENT, MAGIC } from './header.ts';
import { ARRAY_TYPE, type GgufMetadata, type GgufScalar, type GgufScalarType, idOfScalarType } from './value.ts';

/** A tensor to be written. */
export interface GgufTensorToWrite {
  /** At most 63 bytes, as ggml holds names. */
  readonly name: string;
  readonly type: GgmlTypeName;
  /** Sizes of the dimensions, outermost first, at most four. */
  readonly shape: readonly number[];
  /** The bytes in that type, or what makes them: called once, when its turn comes. Sources are read, not closed. */
  readonly data: TensorContent | (() => TensorContent | Promise<TensorContent>);
}

/** What `writeGguf` writes. */
export interface GgufContent {
  /** Keys and values, in this order. `general.alignment`, if given, is obeyed. */
  readonly metadata: GgufMetadata;
  /** Tensors, in this order. */
  readonly tensors: Iterable<GgufTensorToWrite>;
}

const LONGEST_NAME = 63;
const MAX_DIMENSIONS = 4;

/** How much of a source is in memory at once. */
const PIECE_BYTES = 4 * 2 ** 20;

/**
 * Writes a GGUF file to `sink`: the header, then each tensor in turn, padded to the alignment.
 *
 * @returns the length of the file in bytes
 * @throws MarianaError `INVALID_ARGUMENT` for a name given twice or too long, an impossible shape, or a metadata value
 *   that is not of its type; `SHAPE_MISMATCH` if a tensor's content has not as many bytes as type and shape say; what
 *   the makers of the content and `sink` throw. Nothing is written before all descriptions are checked.
 */
export async function writeGguf(sink: ByteSink, content: GgufContent): Promise<number> {
  const tensors = [...content.tensors];
  const alignment = alignmentOf(content.metadata);
  const header = makeHeader(content.metadata, tensors, alignment);
  await sink.write(header);
  let written = header.byteLength;
  for (const tensor of tensors) {
    const length = await writeTensor(sink, tensor);
    const padding = alignUp(length, alignment) - length;
    if (padding > 0) await sink.write(new Uint8Array(padding));
    written += length + padding;
  }
  return written;
}

/** Bytes that a tensor takes in a file. @throws MarianaError `INVALID_ARGUMENT` for an impossible type or shape. */
export function ggufTensorBytes({ name, type, shape }: Pick<GgufTensorToWrite, 'name' | 'type' | 'shape'>): number {
  const { blockValues, blockBytes } = ggmlType(type);
  const elements = shape.reduce((product, size) => product * size, 1);
  const columns = shape.at(-1) ?? 1;
  if (
    shape.length > MAX_DIMENSIONS ||
    !shape.every((size) => Number.isSafeInteger(size) && size >= 0) ||
    columns % blockValues !== 0 ||
    !Number.isSafeInteger(elements * blockBytes)
  ) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `tensor ${quote(name)}: a tensor of shape [${shape.join(', ')}] cannot be stored as ${type}, ` +
        `in rows of whole blocks of ${blockValues} and at most ${MAX_DIMENSIONS} dimensions`,
      { details: { tensor: name, type, shape } },
    );
  }
  return (elements / blockValues) * blockBytes;
}

function alignmentOf(metadata: GgufMetadata): number {
  const entry = metadata.get('general.alignment');
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  if (entry.type === 'u32' && entry.value > 0 && Number.isInteger(Math.log2(entry.value))) return entry.value;
  throw new MarianaError('INVALID_ARGUMENT', 'general.alignment must be a u32 and a power of two');
}

function makeHeader(metadata: GgufMetadata, tensors: readonly GgufTensorToWrite[], alignment: number): Uint8Array {
  const header = new ByteBuilder();
  header.scalar('u32', MAGIC);
  header.scalar('u32', 3);
  header.scalar('u64', BigInt(tensors.length));
  header.scalar('u64', BigInt(metadata.size));
  for (const [key, entry] of metadata) {
    checkText(key, 'a metadata key');
    header.scalar('string', key);
    const scalars = entry.type === 'array' ? entry.value : [entry.value];
    const type = entry.type === 'array' ? entry.of : entry.type;
    if (entry.type === 'array') header.scalar('u32', ARRAY_TYPE);
    header.scalar('u32', idOfScalarType(type));
    if (entry.type === 'array') header.scalar('u64', BigInt(scalars.length));
    for (const scalar of scalars) {
      checkScalar(key, type, scalar);
      header.scalar(type, scalar);
    }
  }
  const names = new Set<string>();
  let offset = 0;
  for (const tensor of tensors) {
    const { name, type, shape } = tensor;
    checkText(name, 'a tensor name');
    if (new TextEncoder().encode(name).length > LONGEST_NAME) {
      throw new MarianaError('INVALID_ARGUMENT', `tensor ${quote(name)}: its name has more than ${LONGEST_NAME} bytes`);
    }
    if (names.has(name)) {
      throw new MarianaError('INVALID_ARGUMENT', `tensor ${quote(name)} is given twice; names must differ`);
    }
    names.add(name);
    const length = ggufTensorBytes(tensor);
    header.scalar('string', name);
    header.scalar('u32', shape.length);
    for (const size of shape.toReversed()) header.scalar('u64', BigInt(size));
    header.scalar('u32', ggmlType(type).id);
    header.scalar('u64', BigInt(offset));
    offset += alignUp(length, alignment);
  }
  header.pad(alignment);
  return header.bytes();
}

function checkText(text: string, what: string): void {
  if (text !== '' && text.isWellFormed()) return;
  throw new MarianaError('INVALID_ARGUMENT', `${quote(text)} cannot be ${what}: it must be text of some length`);
}

const RANGES: Readonly<Partial<Record<GgufScalarType, readonly [number, number]>>> = {
  u8: [0, 2 ** 8 - 1],
  i8: [-(2 ** 7), 2 ** 7 - 1],
  u16: [0, 2 ** 16 - 1],
  i16: [-(2 ** 15), 2 ** 15 - 1],
  u32: [0, 2 ** 32 - 1],
  i32: [-(2 ** 31), 2 ** 31 - 1],
};

function checkScalar(key: string, type: GgufScalarType, value: GgufScalar): void {
  let fits: boolean;
  if (type === 'string') fits = typeof value === 'string' && value.isWellFormed();
  else if (type === 'bool') fits = typeof value === 'boolean';
  else if (type === 'u64') fits = typeof value === 'bigint' && BigInt.asUintN(64, value) === value;
  else if (type === 'i64') fits = typeof value === 'bigint' && BigInt.asIntN(64, value) === value;
  else if (type === 'f32' || type === 'f64') fits = typeof value === 'number';
  else {
    const [least, most] = RANGES[type]!;
    fits = Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
  }
  if (fits) return;
  throw new MarianaError('INVALID_ARGUMENT', `metadata ${quote(key)}: ${quote(String(value))} is no ${type}`, {
    details: { key, type },
  });
}

async function writeTensor(sink: ByteSink, tensor: GgufTensorToWrite): Promise<number> {
  const content = typeof tensor.data === 'function' ? await tensor.data() : tensor.data;
  const byteLength = ggufTensorBytes(tensor);
  if (content.byteLength !== byteLength) {
    throw new MarianaError(
      'SHAPE_MISMATCH',
      `tensor ${quote(tensor.name)}: ${tensor.type} of shape [${tensor.shape.join(', ')}] takes ${byteLength} bytes, ` +
        `its content has ${content.byteLength}`,
      { details: { tensor: tensor.name } },
    );
  }
  if (ArrayBuffer.isView(content)) {
    if (byteLength > 0) await sink.write(viewAsBytes(content));
    return byteLength;
  }
  const piece = new Uint8Array(Math.min(PIECE_BYTES, byteLength));
  for (let offset = 0; offset < byteLength; offset += PIECE_BYTES) {
    const bytes = piece.subarray(0, Math.min(PIECE_BYTES, byteLength - offset));
    await content.read(offset, bytes);
    await sink.write(bytes);
  }
  return byteLength;
}
