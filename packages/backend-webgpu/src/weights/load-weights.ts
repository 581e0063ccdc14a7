/**
 * Brings weights from a checkpoint into GPU memory, some rows at a time, so that the host never holds a whole model:
 * read, converted if need be, padded to whole vectors, written.
 */
import {
  type ByteSource,
  bytesToF32,
  checkFp8Codes,
  dequantizeBlocks,
  dequantizeGroups,
  MarianaError,
  quantizeBlocks,
  quantizeGroups,
  readBytes,
  viewAsBytes,
  type WeightFormat,
  type WeightSource,
} from '@mariana/core';
import type { HeldFormat } from '../kernels/held-format.ts';
import { rowVectors, type StackLayout, type StackPart, scaleColumns, scaleRows, WeightStack } from './gpu-weight.ts';
import { heldAs } from './held-format.ts';

/** What loading needs of a device. */
export interface WeightMemory {
  /** Bytes that a kernel can bind at once. */
  readonly maxBytes: number;
  /** @throws MarianaError `OUT_OF_MEMORY` */
  allocate(label: string, bytes: number): Promise<GPUBuffer>;
  write(buffer: GPUBuffer, offset: number, bytes: Uint8Array<ArrayBuffer>): void;
  /** Waits until what was written has left the host. */
  drain(): Promise<void>;
  /** Destroys a buffer once no command that waits for submission names it. */
  free(buffer: GPUBuffer): void;
}

/** Bytes of F32 values that are converted at a time. */
const CHUNK_BYTES = 8 * 2 ** 20;
/** Bytes that may be under way to the device. */
const IN_FLIGHT_BYTES = 64 * 2 ** 20;

/** Some rows of a matrix, as they will lie. */
interface Rows {
  readonly codes: Uint8Array<ArrayBuffer>;
  readonly scales: Uint8Array<ArrayBuffer> | undefined;
}

/**
 * Loads weights of one shape and one format as one stack.
 *
 * @throws MarianaError `TENSOR_INVALID`, `SOURCE_TRUNCATED`, `OUT_OF_MEMORY`, or what a source throws; nothing is left.
 */
export async function loadStack(
  memory: WeightMemory,
  sources: readonly WeightSource[],
  wanted: WeightFormat | 'native',
): Promise<WeightStack> {
  const [first] = sources;
  if (first === undefined) throw new MarianaError('INVALID_ARGUMENT', 'loadWeights: there is nothing to load');
  for (const source of sources) checkLengths(source);
  const { layout, asItComes } = heldAs(first, wanted);
  const stack: StackLayout = { ...layout, count: sources.length };
  const parts: StackPart[] = [];
  let inFlight = 0;
  const send = async (buffer: GPUBuffer, offset: number, bytes: Uint8Array<ArrayBuffer>) => {
    memory.write(buffer, offset, bytes);
    inFlight += bytes.byteLength;
    if (inFlight < IN_FLIGHT_BYTES) return;
    await memory.drain();
    inFlight = 0;
  };
  try {
    for (const plan of planParts(stack, memory.maxBytes, first.name)) {
      const codes = await memory.allocate(plan.name, Math.max(16, plan.rows * rowVectors(stack) * 16));
      let part: StackPart = { firstRow: plan.firstRow, rows: plan.rows, codes };
      parts.push(part);
      if (scaleColumns(stack) > 0) {
        const scaleBytes = 4 * plan.matrices * scaleRows(stack, plan.rowsOfEach) * scaleColumns(stack);
        part = { ...part, scales: await memory.allocate(`${plan.name} scales`, Math.max(4, scaleBytes)) };
        parts[parts.length - 1] = part;
      }
      for (let m = 0; m < plan.matrices; m++) {
        const source = sources[Math.floor(plan.firstRow / layout.shape[0]) + m]!;
        const start = plan.firstRow % layout.shape[0];
        const rowsAt = m * plan.rowsOfEach;
        const scalesAt = m * scaleRows(stack, plan.rowsOfEach);
        for (const [from, to] of chunks(stack, start, start + plan.rowsOfEach)) {
          const rows = asItComes
            ? await readRows(source, layout, from, to)
            : await convertRows(source, layout, from, to);
          await send(part.codes, 16 * rowVectors(stack) * (rowsAt + from - start), rows.codes);
          if (rows.scales === undefined || part.scales === undefined) continue;
          const scaleRow = scalesAt + (from - start) / layout.scaleBlock[0];
          await send(part.scales, 4 * scaleRow * scaleColumns(stack), rows.scales);
        }
      }
    }
    await memory.drain();
  } catch (error) {
    for (const { codes, scales } of parts) {
      codes.destroy();
      scales?.destroy();
    }
    throw error;
  }
  return new WeightStack(stack, parts, memory.free);
}

/** Rows that share buffers: whole matrices, or a piece of one. */
interface PartPlan {
  readonly name: string;
  readonly firstRow: number;
  readonly rows: number;
  readonly matrices: number;
  readonly rowsOfEach: number;
}

function planParts(layout: StackLayout, maxBytes: number, name: string): PartPlan[] {
  const { shape, count, scaleBlock } = layout;
  const [out] = shape;
  const rowBytes = 16 * rowVectors(layout);
  const matrices = Math.min(count, Math.floor(maxBytes / Math.max(1, rowBytes * out)));
  if (matrices >= 1) {
    return Array.from({ length: Math.ceil(count / matrices) }, (_, i) => {
      const these = Math.min(matrices, count - i * matrices);
      return { name, firstRow: i * matrices * out, rows: these * out, matrices: these, rowsOfEach: out };
    });
  }
  // In whole blocks of scales.
  const fitting = Math.floor(maxBytes / rowBytes / scaleBlock[0]) * scaleBlock[0];
  if (fitting < 1) {
    throw new MarianaError(
      'OUT_OF_MEMORY',
      `${name}: a row of ${rowBytes} bytes is over the device's limit of ${maxBytes}`,
    );
  }
  const plans: PartPlan[] = [];
  for (let matrix = 0; matrix < count; matrix++) {
    for (let row = 0; row < out; row += fitting) {
      const rows = Math.min(fitting, out - row);
      plans.push({ name, firstRow: matrix * out + row, rows, matrices: 1, rowsOfEach: rows });
    }
  }
  return plans;
}

/** Ranges of rows, in whole blocks of scales, that are small enough to be on the host. */
function* chunks({ shape, scaleBlock }: StackLayout, start: number, end: number): Generator<[number, number]> {
  const block = scaleBlock[0];
  const rows = Math.max(1, Math.floor(CHUNK_BYTES / Math.max(4, 4 * shape[1]) / block)) * block;
  for (let row = start; row < end; row += rows) yield [row, Math.min(row + rows, end)];
}

/** Bytes of a row in a checkpoint. */
function sourceRowBytes({ format, shape }: WeightSource): number {
  const inputs = shape[1];
  return { f32: 4 * inputs, bf16: 2 * inputs, f16: 2 * inputs, fp8: inputs, int8: inputs, int4: Math.ceil(inputs / 2) }[
    format
  ];
}

/** @throws MarianaError `SOURCE_TRUNCATED` */
function checkLengths(source: WeightSource): void {
  const [out, inputs] = source.shape;
  check(source.values, out * sourceRowBytes(source));
  if (!('scales' in source)) return;
  const [high, wide] = 'blockSize' in source ? source.blockSize : [1, source.groupSize];
  check(source.scales, 4 * Math.ceil(out / high) * Math.ceil(inputs / wide));

  function check({ name, byteLength }: ByteSource, expected: number): void {
    if (byteLength === expected) return;
    throw new MarianaError(
      'SOURCE_TRUNCATED',
      `${source.name}: ${name} has ${byteLength} bytes where a ${source.format} weight [${out}, ${inputs}] takes ${expected}`,
    );
  }
}

/** Reads rows of a checkpoint's bytes. */
function readRange(source: WeightSource, from: number, to: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = sourceRowBytes(source);
  return readBytes(source.values, from * bytes, (to - from) * bytes);
}

/** The scales of rows that begin with a block. */
async function readScales(source: WeightSource, from: number, to: number): Promise<Uint8Array<ArrayBuffer>> {
  if (!('scales' in source)) return new Uint8Array(0);
  const [high, wide] = 'blockSize' in source ? source.blockSize : [1, source.groupSize];
  const rowBytes = 4 * Math.ceil(source.shape[1] / wide);
  const first = Math.floor(from / high);
  return readBytes(source.scales, first * rowBytes, (Math.ceil(to / high) - first) * rowBytes);
}

type Layout = Omit<StackLayout, 'count'>;

async function readRows(source: WeightSource, layout: Layout, from: number, to: number): Promise<Rows> {
  const codes = await readRange(source, from, to);
  if (source.format === 'fp8') checkFp8Codes(codes, source.name);
  const scales = 'scales' in source ? await readScales(source, from, to) : undefined;
  return { codes: padRows(codes, layout, to - from), scales };
}

/** Rows by way of F32. */
async function convertRows(source: WeightSource, layout: Layout, from: number, to: number): Promise<Rows> {
  // Blocks of the source may be cut by `from`: then the rows of the whole block are decoded.
  const high = 'blockSize' in source ? source.blockSize[0] : 1;
  const start = Math.floor(from / high) * high;
  const values = (await decodeRows(source, start, to)).subarray((from - start) * source.shape[1]);
  const [rows, inputs] = [to - from, source.shape[1]];
  const { format } = layout;
  if (format === 'f32')
    return { codes: padRows(viewAsBytes(values) as Uint8Array<ArrayBuffer>, layout, rows), scales: undefined };
  if (format === 'fp8') {
    const { codes, scales } = quantizeBlocks(values, rows, inputs);
    return { codes: padRows(codes, layout, rows), scales: viewAsBytes(scales) as Uint8Array<ArrayBuffer> };
  }
  if (format === 'int8' || format === 'int4') {
    const { codes, scales } = quantizeGroups(format, values, rows, inputs);
    const bytes = viewAsBytes(codes) as Uint8Array<ArrayBuffer>;
    return { codes: padRows(bytes, layout, rows), scales: viewAsBytes(scales) as Uint8Array<ArrayBuffer> };
  }
  throw new MarianaError('INVALID_ARGUMENT', `${source.name}: cannot hold a ${source.format} weight as ${format}`);
}

async function decodeRows(source: WeightSource, from: number, to: number): Promise<Float32Array> {
  const bytes = await readRange(source, from, to);
  if (!('scales' in source)) return bytesToF32(source.format, bytes);
  const scales = bytesToF32('f32', await readScales(source, from, to));
  const inputs = source.shape[1];
  if ('blockSize' in source) {
    checkFp8Codes(bytes, source.name);
    return dequantizeBlocks(bytes, scales, to - from, inputs, source.blockSize);
  }
  return dequantizeGroups(source.format, bytes, scales, to - from, inputs, source.groupSize);
}

/** What stands for zero in the bytes behind the end of a row. */
const PADDING: Readonly<Record<HeldFormat, number>> = { f32: 0, bf16: 0, fp8: 0, int8: 0, int4: 0x88 };

/** Rows padded to whole vectors; the bytes themselves where they are whole already. */
function padRows(bytes: Uint8Array<ArrayBuffer>, layout: Layout, rows: number): Uint8Array<ArrayBuffer> {
  const to = 16 * rowVectors(layout);
  const from = rows === 0 ? to : bytes.byteLength / rows;
  const odd = layout.format === 'int4' && layout.shape[1] % 2 === 1;
  if (from === to && !odd) return bytes;
  const padded = new Uint8Array(rows * to).fill(PADDING[layout.format]);
  for (let row = 0; row < rows; row++) {
    padded.set(bytes.subarray(row * from, (row + 1) * from), row * to);
    // The last nibble of a row of odd length belongs to no input.
    if (odd) padded[row * to + from - 1] = (padded[row * to + from - 1]! & 0x0f) | 0x80;
  }
  return padded;
}
