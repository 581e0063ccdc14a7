/**
 * Writing safetensors. Tensors are described first and made later: the header needs only names, dtypes and shapes, and
 * the values of each tensor are asked for when its turn comes, so a checkpoint far larger than memory can be written.
 */

import { viewAsBytes } from '../../dtype/convert.ts';
import { bytesPerElement, type DType, isDType } from '../../dtype/dtype.ts';
import { MarianaError } from '../../errors.ts';
import { quote } from '../quote.ts';
import type { ByteSink } from '../sink.ts';
import type { ByteSource } from '../source.ts';
import { nameOfDType, rankOfDType } from './dtype-names.ts';
import { MAX_HEADER_BYTES } from './header.ts';

/** The values of a tensor to be written: in memory, or to be read piece by piece, row-major and little-endian. */
export type TensorContent = ArrayBufferView | ByteSource;

/** A tensor to be written. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The values, or what makes them: called once, when its turn comes. Sources are read, not closed. */
  readonly data: TensorContent | (() => TensorContent | Promise<TensorContent>);
}

/** How `writeSafetensors` writes. */
export interface WriteSafetensorsOptions {
  /** Strings for `__metadata__`. Other tools of a checkpoint expect `{ format: 'pt' }`. */
  metadata?: Readonly<Record<string, string>>;
  /**
   * `aligned` (default): widest elements first, then by name, as the format's own implementation sorts, so that every
   * tensor begins at a multiple of its element size and the same tensors always give the same file. `given`: as they
   * come, for tensors that are best made in a certain order.
   */
  order?: 'aligned' | 'given';
}

/** How much of a source is in memory at once. */
const PIECE_BYTES = 4 * 2 ** 20;

/**
 * Writes a safetensors file to `sink`: the header, then each tensor in turn.
 *
 * @returns the length of the file in bytes
 * @throws MarianaError `INVALID_ARGUMENT` for a name given twice or reserved, or an impossible dtype or shape;
 *   `SHAPE_MISMATCH` if the values of a tensor are not as many bytes as its dtype and shape say; what the makers of the
 *   values and `sink` throw. Nothing is written before names and shapes are checked.
 */
export async function writeSafetensors(
  sink: ByteSink,
  tensors: Iterable<TensorToWrite>,
  options: WriteSafetensorsOptions = {},
): Promise<number> {
  const sorted = [...tensors];
  for (const tensor of sorted) checkTensor(tensor);
  if ((options.order ?? 'aligned') === 'aligned') sorted.sort(byRankAndName);
  const header = makeHeader(sorted, options.metadata ?? {});
  await sink.write(header);
  let written = header.byteLength;
  for (const tensor of sorted) written += await writeTensor(sink, tensor);
  return written;
}

/** Bytes that the values of a tensor take. */
export function tensorBytes(tensor: Pick<TensorToWrite, 'dtype' | 'shape'>): number {
  return tensor.shape.reduce((product, size) => product * size, bytesPerElement(tensor.dtype));
}

/** Checks what a tensor is said to be. @throws MarianaError `INVALID_ARGUMENT` */
export function checkTensor({ name, dtype, shape }: TensorToWrite): void {
  const refuse = (what: string) =>
    new MarianaError('INVALID_ARGUMENT', `tensor ${quote(name)}: ${what}`, { details: { tensor: name } });
  if (name === '__metadata__') throw refuse('this name is reserved by the format; choose another');
  if (!name.isWellFormed()) throw refuse('its name is not well-formed Unicode');
  if (!isDType(dtype)) throw refuse(`unknown dtype ${String(dtype)}`);
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw refuse(`shape [${shape.join(', ')}] is no list of whole numbers from zero up`);
  }
  if (!Number.isSafeInteger(tensorBytes({ dtype, shape }))) {
    throw refuse(`shape [${shape.join(', ')}] is larger than any file`);
  }
}

function byRankAndName(a: TensorToWrite, b: TensorToWrite): number {
  return rankOfDType(b.dtype) - rankOfDType(a.dtype) || (a.name < b.name ? -1 : 1);
}

/** The eight bytes of length and the JSON, padded with spaces so that the values begin at a multiple of eight. */
function makeHeader(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const members: string[] = [];
  const entries = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length > 0) members.push(`"__metadata__":${JSON.stringify(Object.fromEntries(entries))}`);
  const names = new Set<string>();
  let begin = 0;
  for (const tensor of tensors) {
    if (names.has(tensor.name)) {
      throw new MarianaError('INVALID_ARGUMENT', `tensor ${quote(tensor.name)} is given twice; names must differ`, {
        details: { tensor: tensor.name },
      });
    }
    names.add(tensor.name);
    const end = begin + tensorBytes(tensor);
    const entry = { dtype: nameOfDType(tensor.dtype), shape: tensor.shape, data_offsets: [begin, end] };
    members.push(`${JSON.stringify(tensor.name)}:${JSON.stringify(entry)}`);
    begin = end;
  }
  const json = new TextEncoder().encode(`{${members.join(',')}}`);
  const padded = Math.ceil(json.byteLength / 8) * 8;
  if (padded > MAX_HEADER_BYTES) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `the header of ${tensors.length} tensors has ${padded} bytes, the format allows ${MAX_HEADER_BYTES}; ` +
        'spread them over several files',
    );
  }
  const header = new Uint8Array(8 + padded).fill(0x20, 8);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, 8);
  return header;
}

async function writeTensor(sink: ByteSink, tensor: TensorToWrite): Promise<number> {
  const content = typeof tensor.data === 'function' ? await tensor.data() : tensor.data;
  const byteLength = tensorBytes(tensor);
  if (content.byteLength !== byteLength) {
    throw new MarianaError(
      'SHAPE_MISMATCH',
      `tensor ${quote(tensor.name)}: ${tensor.dtype} of shape [${tensor.shape.join(', ')}] takes ${byteLength} bytes, ` +
        `its values have ${content.byteLength}`,
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
