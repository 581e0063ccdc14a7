/**
 * The header of a GGUF file: magic, version, metadata, and for each tensor its name, dimensions, type and place. All of
 * it is checked, against itself and against the length of the file, before a single value is read, so that a damaged or
 * hostile file is refused whole and costs no memory.
 *
 * Format: GGUF specification (ggml/docs/gguf.md), versions 2 and 3, little-endian.
 */

import { quote } from '../quote.ts';
import { type ByteSource, readBytes } from '../source.ts';
import { Cursor, MoreNeeded } from './cursor.ts';
import { type GgmlType, ggmlTypeOf } from './ggml-types.ts';
import {
  ARRAY_TYPE,
  type GgufMetadata,
  type GgufScalarType,
  type GgufValue,
  LEAST_BYTES,
  scalarTypeOf,
} from './value.ts';

/** What the header says of one tensor. */
export interface GgufTensorEntry {
  readonly name: string;
  readonly type: GgmlType;
  /** Sizes of the dimensions, outermost first: the reverse of the order in the file. */
  readonly shape: readonly number[];
  /** Where in the file its first byte is. */
  readonly offset: number;
  /** Bytes that it takes in the file. */
  readonly byteLength: number;
}

/** A checked header. */
export interface GgufHeader {
  readonly version: 2 | 3;
  readonly metadata: GgufMetadata;
  /** The tensors by name, in the order in which they lie in the file. */
  readonly tensors: ReadonlyMap<string, GgufTensorEntry>;
  /** Tensors begin at multiples of this (`general.alignment`, by default 32). */
  readonly alignment: number;
}

/** `GGUF`, read as a little-endian number. */
export const MAGIC = 0x46554747;

/** Where tensors begin unless the file says otherwise. */
export const DEFAULT_ALIGNMENT = 32;

/** The longest header, in bytes, that is believed. That of DeepSeek-V3 has ten million. */
export const MAX_GGUF_HEADER_BYTES = 2 ** 28;

/** What is read at first; grows as far as the header needs. */
const FIRST_READ_BYTES = 2 ** 16;

const MAX_DIMENSIONS = 4;
const MAX_ALIGNMENT = 2 ** 20;

/** The fewest bytes that a key and its value take, and those of a tensor's description. */
const LEAST_ENTRY_BYTES = 8 + 4 + 1;
const LEAST_TENSOR_BYTES = 8 + 4 + 4 + 8;

/**
 * Reads and checks the header of `source`.
 *
 * Refused are: another magic or version, big-endian files, keys or tensors named twice, values of unknown types, arrays
 * of arrays, an alignment that is no power of two, more than four dimensions, rows that are no whole number of blocks,
 * sizes that overflow, tensors that overlap, leave holes or are not aligned, and bytes after the last one.
 *
 * @throws MarianaError `SOURCE_TRUNCATED` if the file ends before what it promises, `CHECKPOINT_CORRUPT` otherwise; what
 *   `read` throws.
 */
export async function readGgufHeader(source: ByteSource): Promise<GgufHeader> {
  let bytes = await readBytes(source, 0, Math.min(FIRST_READ_BYTES, source.byteLength));
  for (;;) {
    const cursor = new Cursor(bytes, source.byteLength, source.name);
    try {
      return parse(cursor, source.byteLength);
    } catch (error) {
      if (!(error instanceof MoreNeeded)) throw error;
      if (error.bytes > MAX_GGUF_HEADER_BYTES) {
        throw cursor.corrupt(`its header goes beyond ${MAX_GGUF_HEADER_BYTES} bytes`);
      }
      // Four times as much each time: parsing anew costs a third of the last pass.
      const wanted = Math.min(source.byteLength, MAX_GGUF_HEADER_BYTES, Math.max(error.bytes, 4 * bytes.byteLength));
      const longer = new Uint8Array(wanted);
      longer.set(bytes);
      await source.read(bytes.byteLength, longer.subarray(bytes.byteLength));
      bytes = longer;
    }
  }
}

function parse(cursor: Cursor, fileBytes: number): GgufHeader {
  if (cursor.scalar('u32', 'the magic of a GGUF file') !== MAGIC) throw cursor.corrupt('it does not begin with "GGUF"');
  const version = cursor.scalar('u32', 'the version');
  if (version !== 2 && version !== 3) {
    const swapped = version !== 0 && (version & 0xffff) === 0;
    throw cursor.corrupt(
      swapped
        ? 'it is a big-endian file; convert it for little-endian machines'
        : `it has version ${version}, read are 2 and 3`,
    );
  }
  const tensorCount = cursor.count('the number of tensors', LEAST_TENSOR_BYTES);
  const keyCount = cursor.count('the number of metadata keys', LEAST_ENTRY_BYTES);
  const metadata = parseMetadata(cursor, keyCount);
  const alignment = alignmentOf(metadata, cursor);
  const described = new Map<string, Described>();
  for (let i = 0; i < tensorCount; i++) {
    const tensor = parseTensor(cursor, i, alignment);
    if (described.has(tensor.name)) throw cursor.corrupt(`tensor ${quote(tensor.name)} is described twice`);
    described.set(tensor.name, tensor);
  }
  const dataOffset = alignUp(cursor.position, alignment);
  const tensors = placed([...described.values()], { dataOffset, alignment, fileBytes }, cursor);
  return { version, metadata, tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])), alignment };
}

function parseMetadata(cursor: Cursor, count: number): GgufMetadata {
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < count; i++) {
    const key = cursor.scalar('string', `metadata key ${i}`);
    if (key === '') throw cursor.corrupt(`metadata key ${i} is empty`);
    if (metadata.has(key)) throw cursor.corrupt(`metadata key ${quote(key)} is given twice`);
    metadata.set(key, parseValue(cursor, `metadata ${quote(key)}`));
  }
  return metadata;
}

function parseValue(cursor: Cursor, what: string): GgufValue {
  const id = cursor.scalar('u32', `the type of ${what}`);
  if (id !== ARRAY_TYPE) {
    const type = knownType(id, what, cursor);
    return { type, value: cursor.scalar(type, what) } as GgufValue;
  }
  const of = knownType(cursor.scalar('u32', `the type of the elements of ${what}`), what, cursor);
  const length = cursor.count(`the length of ${what}`, LEAST_BYTES[of]);
  const value = Array.from({ length }, () => cursor.scalar(of, what));
  return { type: 'array', of, value } as GgufValue;
}

function knownType(id: number, what: string, cursor: Cursor): GgufScalarType {
  const type = scalarTypeOf(id);
  if (type !== undefined) return type;
  throw cursor.corrupt(id === ARRAY_TYPE ? `${what} is an array of arrays` : `${what} has the unknown type ${id}`);
}

function alignmentOf(metadata: GgufMetadata, cursor: Cursor): number {
  const entry = metadata.get('general.alignment');
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  const alignment = entry.type === 'u32' ? entry.value : 0;
  if (alignment > 0 && alignment <= MAX_ALIGNMENT && (alignment & (alignment - 1)) === 0) return alignment;
  throw cursor.corrupt(`general.alignment is no power of two up to ${MAX_ALIGNMENT} in 32 bits`);
}

interface Described extends Omit<GgufTensorEntry, 'offset'> {
  /** From the beginning of the tensors' data. */
  readonly relativeOffset: number;
}

function parseTensor(cursor: Cursor, index: number, alignment: number): Described {
  const name = cursor.scalar('string', `the name of tensor ${index}`);
  const refuse = (what: string) => cursor.corrupt(`tensor ${quote(name)} ${what}`);
  const dimensions = cursor.scalar('u32', `the number of dimensions of ${quote(name)}`);
  if (dimensions > MAX_DIMENSIONS) throw refuse(`has ${dimensions} dimensions, more than ${MAX_DIMENSIONS}`);
  const sizes = Array.from({ length: dimensions }, () => cursor.scalar('u64', `a dimension of ${quote(name)}`));
  const id = cursor.scalar('u32', `the type of ${quote(name)}`);
  const type = ggmlTypeOf(id);
  if (type === undefined) throw refuse(`has the unknown type ${id}`);
  const columns = sizes[0] ?? 1n;
  if (columns % BigInt(type.blockValues) !== 0n) {
    throw refuse(`is ${type.name} with rows of ${columns} values, no whole number of blocks of ${type.blockValues}`);
  }
  const elements = sizes.reduce((product, size) => product * size, 1n);
  const byteLength = (elements / BigInt(type.blockValues)) * BigInt(type.blockBytes);
  const shown = `[${sizes.toReversed().join(', ')}]`;
  if (byteLength > Number.MAX_SAFE_INTEGER || sizes.some((size) => size > Number.MAX_SAFE_INTEGER)) {
    throw refuse(`has shape ${shown}, which no file can hold`);
  }
  const offset = cursor.scalar('u64', `the offset of ${quote(name)}`);
  if (offset % BigInt(alignment) !== 0n)
    throw refuse(`begins at byte ${offset} of the data, no multiple of ${alignment}`);
  if (offset > Number.MAX_SAFE_INTEGER) throw refuse(`begins at byte ${offset} of the data, beyond any file`);
  const shape = Object.freeze(sizes.toReversed().map(Number));
  return { name, type, shape, byteLength: Number(byteLength), relativeOffset: Number(offset) };
}

/** The tensors in the order of their places, after checking that they fill the file without overlap or hole. */
function placed(
  tensors: Described[],
  { dataOffset, alignment, fileBytes }: { dataOffset: number; alignment: number; fileBytes: number },
  cursor: Cursor,
): GgufTensorEntry[] {
  tensors.sort((a, b) => a.relativeOffset - b.relativeOffset || a.byteLength - b.byteLength);
  let end = dataOffset;
  const entries: GgufTensorEntry[] = [];
  for (const { relativeOffset, ...tensor } of tensors) {
    const offset = dataOffset + relativeOffset;
    const expected = alignUp(end, alignment);
    if (offset !== expected) {
      const what = offset < expected ? 'overlaps what is before it' : 'leaves a hole before it';
      throw cursor.corrupt(`tensor ${quote(tensor.name)} at byte ${offset} ${what}, which ends at byte ${end}`);
    }
    end = offset + tensor.byteLength;
    entries.push({ ...tensor, offset });
  }
  if (end > fileBytes && entries.length > 0) throw cursor.truncated(`its tensors need ${end} bytes of ${fileBytes}`);
  if (alignUp(end, alignment) < fileBytes) {
    throw cursor.corrupt(`its tensors end at byte ${end}, but the file goes on to byte ${fileBytes}`);
  }
  return entries;
}

/** The smallest multiple of `alignment` from `at` on. */
export function alignUp(at: number, alignment: number): number {
  return Math.ceil(at / alignment) * alignment;
}
