/**
 * The header of a safetensors file: eight bytes of length, then JSON that says for each tensor its dtype, shape and
 * place. Everything that the JSON promises is checked against everything else and against the length of the file,
 * before a single value is read, so that a damaged or hostile file is refused whole and costs no memory.
 */

import { bytesPerElement } from '../../dtype/dtype.ts';
import { MarianaError } from '../../errors.ts';
import { decodeUtf8 } from '../files/checkpoint-files.ts';
import { parseJson } from '../files/json.ts';
import { quote } from '../quote.ts';
import { type ByteSource, readBytes } from '../source.ts';
import type { TensorInfo } from '../tensor-store.ts';
import { dtypeOfName, SAFETENSORS_DTYPES } from './dtype-names.ts';

/** The longest header, in bytes, that is believed: the limit of the format's own implementation. */
export const MAX_HEADER_BYTES = 100_000_000;

/** What is read at first, in the hope that it is the whole header: one request instead of two. */
const FIRST_READ_BYTES = 32 * 2 ** 10;

/** What the header says of one tensor. */
export interface SafetensorsEntry extends TensorInfo {
  /** Where in the file its first byte is. */
  readonly offset: number;
}

/** A checked header. */
export interface SafetensorsHeader {
  /** The tensors by name, in the order in which they lie in the file. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  /** The strings of `__metadata__`, such as `format: pt`; empty where there is none. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Where the values begin: 8 bytes and the header. */
  readonly dataOffset: number;
}

/**
 * Reads and checks the header of `source`.
 *
 * @throws MarianaError `SOURCE_TRUNCATED` if the file is too short for its header or for its tensors;
 *   `CHECKPOINT_CORRUPT` for a header that is beyond 100 MB, no UTF-8, no JSON, or contradicts itself or the file
 *   (see `parseHeader`); what `read` throws.
 */
export async function readHeader(source: ByteSource): Promise<SafetensorsHeader> {
  if (source.byteLength < 8) {
    throw new MarianaError(
      'SOURCE_TRUNCATED',
      `${source.name}: ${source.byteLength} bytes are too few for a safetensors file; fetch it again`,
      { details: { file: source.name, byteLength: source.byteLength } },
    );
  }
  let bytes = await readBytes(source, 0, Math.min(FIRST_READ_BYTES, source.byteLength));
  const told = new DataView(bytes.buffer).getBigUint64(0, true);
  if (told > MAX_HEADER_BYTES) {
    throw new MarianaError(
      'CHECKPOINT_CORRUPT',
      `${source.name}: it claims a header of ${told} bytes, more than the format allows (${MAX_HEADER_BYTES}); ` +
        'this is not a safetensors file, or it is damaged',
      { details: { file: source.name, headerBytes: String(told) } },
    );
  }
  const headerBytes = Number(told);
  if (headerBytes > source.byteLength - 8) {
    throw new MarianaError(
      'SOURCE_TRUNCATED',
      `${source.name}: it claims a header of ${headerBytes} bytes but has only ${source.byteLength} bytes in all; ` +
        'it is cut short or no safetensors file, fetch it again',
      { details: { file: source.name, headerBytes, byteLength: source.byteLength } },
    );
  }
  if (8 + headerBytes > bytes.byteLength) {
    const whole = new Uint8Array(8 + headerBytes);
    whole.set(bytes);
    await source.read(bytes.byteLength, whole.subarray(bytes.byteLength));
    bytes = whole;
  }
  return parseHeader(bytes.subarray(8, 8 + headerBytes), source.byteLength - 8 - headerBytes, source.name);
}

/**
 * Parses and checks the JSON of a header.
 *
 * Refused are: anything but an object of objects; a tensor named twice; a dtype that is not known; a shape that is no
 * list of whole numbers from zero up or whose size overflows; offsets that do not fit dtype and shape; tensors that
 * overlap, leave holes, or do not end where the file ends; `__metadata__` that is no object of strings.
 *
 * @param header the JSON in UTF-8, padding included, without the eight bytes before it
 * @param dataBytes how many bytes of values follow it
 * @param name what to call the file in messages
 * @throws MarianaError `SOURCE_TRUNCATED` if there are fewer than the tensors need, `CHECKPOINT_CORRUPT` otherwise.
 */
export function parseHeader(header: Uint8Array, dataBytes: number, name: string): SafetensorsHeader {
  const where = `${name}: its header`;
  const json = parseJson(decodeUtf8(header, where), where, { uniqueKeys: true });
  if (!isObject(json)) throw corrupt(name, 'its header is not a JSON object');
  const dataOffset = 8 + header.byteLength;
  let metadata: ReadonlyMap<string, string> = new Map();
  const entries: SafetensorsEntry[] = [];
  for (const [tensor, value] of Object.entries(json)) {
    if (tensor === '__metadata__') metadata = parseMetadata(value, name);
    else entries.push(parseEntry(tensor, value, dataOffset, name));
  }
  entries.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  checkLayout(entries, dataOffset, dataBytes, name);
  return { tensors: new Map(entries.map((entry) => [entry.name, entry])), metadata, dataOffset };
}

function parseMetadata(value: unknown, file: string): ReadonlyMap<string, string> {
  if (!isObject(value)) throw corrupt(file, '__metadata__ is not an object');
  const metadata = new Map<string, string>();
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw corrupt(file, `__metadata__ has something else than a string at ${quote(key)}`);
    metadata.set(key, text);
  }
  return metadata;
}

function parseEntry(tensor: string, value: unknown, dataOffset: number, file: string): SafetensorsEntry {
  const refuse = (what: string) => corrupt(file, `tensor ${quote(tensor)} ${what}`, { tensor });
  if (!isObject(value)) throw refuse('is not described by an object');

  const dtype = typeof value.dtype === 'string' ? dtypeOfName(value.dtype) : undefined;
  if (dtype === undefined) {
    throw refuse(`has dtype ${show(value.dtype)}; known are ${SAFETENSORS_DTYPES.join(', ')}`);
  }
  const shape = value.shape;
  if (!isCounts(shape)) throw refuse(`has shape ${show(shape)}, which is no list of whole numbers from zero up`);
  const elements = shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1);
  const byteLength = elements * bytesPerElement(dtype);
  if (!Number.isSafeInteger(byteLength)) throw refuse(`has shape ${show(shape)}, which no file can hold`);

  const offsets = value.data_offsets;
  if (!isCounts(offsets) || offsets.length !== 2) {
    throw refuse(`has data_offsets ${show(offsets)}, which are not two whole numbers from zero up`);
  }
  const [begin, end] = offsets as [number, number];
  if (end - begin !== byteLength) {
    throw refuse(
      `has data_offsets [${begin}, ${end}], but ${show(value.dtype)} of shape ${show(shape)} takes ${byteLength} bytes`,
    );
  }
  return { name: tensor, dtype, shape: Object.freeze([...shape]), byteLength, file, offset: dataOffset + begin };
}

/** Checks that `entries`, sorted by place, fill the data of the file without overlap, hole or rest. */
function checkLayout(entries: readonly SafetensorsEntry[], dataOffset: number, dataBytes: number, file: string): void {
  let end = dataOffset;
  let previous: SafetensorsEntry | undefined;
  for (const entry of entries) {
    if (entry.offset !== end) {
      const before = previous === undefined ? 'the start of the data' : `the end of ${quote(previous.name)}`;
      const what = entry.offset < end ? 'overlaps' : 'leaves a hole after';
      throw corrupt(file, `tensor ${quote(entry.name)} at byte ${entry.offset} ${what} ${before} at byte ${end}`, {
        tensor: entry.name,
      });
    }
    end = entry.offset + entry.byteLength;
    previous = entry;
  }
  const fileEnd = dataOffset + dataBytes;
  if (end > fileEnd) {
    throw new MarianaError(
      'SOURCE_TRUNCATED',
      `${file}: its tensors need ${end} bytes, the file has only ${fileEnd}; it is cut short, fetch it again`,
      { details: { file, byteLength: fileEnd, needed: end } },
    );
  }
  if (end < fileEnd) throw corrupt(file, `its tensors end at byte ${end}, but the file goes on to byte ${fileEnd}`);
}

function corrupt(file: string, what: string, details: Readonly<Record<string, unknown>> = {}): MarianaError {
  return new MarianaError('CHECKPOINT_CORRUPT', `${file}: ${what}; the file is damaged, fetch or convert it again`, {
    details: { file, ...details },
  });
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'missing';
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
