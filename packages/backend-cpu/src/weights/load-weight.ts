/**
 * Brings a weight from a checkpoint into WebAssembly memory, in its own format or in the one that the user asked for.
 * Dense and FP8 values are read straight into place; integers are made or re-arranged panel by panel from a small
 * staging area. At no time does a whole weight exist twice.
 */
import {
  type ByteSource,
  checkFp8Codes,
  decodeWeight,
  MarianaError,
  MemorySource,
  quantizeBlocks,
  viewAsBytes,
  type WeightFormat,
  type WeightSource,
} from '@mariana/core';
import type { CpuBackend } from '../cpu-backend.ts';
import {
  type DenseMatrix,
  findFp8Nan,
  type KernelModule,
  type PackedFormat,
  packedShape,
  packRows,
  packWeights,
} from '../wasm/index.ts';
import { CpuWeight } from './cpu-weight.ts';
import { Placement } from './placement.ts';

/** Bytes of rows in the staging area at a time. */
const STAGING_BYTES = 4 * 2 ** 20;
/** Panels of packed integers are this many rows high, so staging takes whole multiples. */
const PANEL = 16;
const BYTES = { f32: 4, bf16: 2, fp8: 1 } as const;

/** What decides how a weight is held. */
type Incoming = Pick<WeightSource, 'format' | 'shape'> & { readonly blockSize?: readonly number[]; groupSize?: number };

/** The format in which a weight is held when the user asked for `wanted`. */
function heldFormat(incoming: Incoming, wanted: WeightFormat | 'native'): Exclude<WeightFormat, 'f16'> {
  const target = wanted === 'native' ? incoming.format : wanted;
  if (target === 'f16') return 'f32'; // no kernel reads F16
  // Formats that need not be made anew are kept only if a kernel knows their blocks and groups.
  if (target === incoming.format) return isKernelFormat(incoming) ? target : 'f32';
  if (target !== 'int4' || incoming.shape[1] % 2 === 0) return target;
  // Two integers a byte do not fit an odd number of inputs.
  return incoming.format !== 'int8' || isKernelFormat(incoming) ? 'int8' : 'f32';
}

function isKernelFormat({ format, shape, blockSize = [128, 128], groupSize }: Incoming): boolean {
  if (format === 'fp8') return blockSize.every((size) => size === 128);
  if (format !== 'int8' && format !== 'int4') return true;
  const isGroup = groupSize === undefined || [32, 64, 128].includes(groupSize);
  return isGroup && (format === 'int8' || shape[1] % 2 === 0);
}

/** Bytes that a weight takes when it is held as `heldFormat` says. */
export function heldBytes(kernels: KernelModule, incoming: Incoming, wanted: WeightFormat | 'native'): number {
  const [rows, cols] = incoming.shape;
  const held = heldFormat(incoming, wanted);
  if (held === 'int8' || held === 'int4') {
    const { dataBytes, scaleBytes } = packedShape(kernels, held, rows, cols, keptGroup(incoming, held));
    return dataBytes + scaleBytes;
  }
  const scales = held === 'fp8' ? 4 * Math.ceil(rows / 128) * Math.ceil(cols / 128) : 0;
  return rows * cols * BYTES[held] + scales;
}

/** Inputs that share a scale, where integers are taken over as they come; undefined for the format's usual. */
function keptGroup({ format, groupSize }: Incoming, held: WeightFormat): number | undefined {
  return format === held ? groupSize : undefined;
}

/** @throws MarianaError `SOURCE_TRUNCATED` if values or scales are not as many as the shape asks for. */
function checkLengths(source: WeightSource): void {
  const [rows, cols] = source.shape;
  const rowBytes = { f32: 4 * cols, bf16: 2 * cols, f16: 2 * cols, fp8: cols, int8: cols, int4: Math.ceil(cols / 2) };
  check(source.values, rows * rowBytes[source.format]);
  if ('blockSize' in source) {
    const [high, wide] = source.blockSize;
    check(source.scales, 4 * Math.ceil(rows / high) * Math.ceil(cols / wide));
  } else if ('groupSize' in source) check(source.scales, 4 * rows * Math.ceil(cols / source.groupSize));

  function check({ name, byteLength }: ByteSource, expected: number): void {
    if (byteLength === expected) return;
    throw new MarianaError(
      'SOURCE_TRUNCATED',
      `${source.name}: ${name} has ${byteLength} bytes where a ${source.format} weight [${rows}, ${cols}] takes ${expected}`,
    );
  }
}

/** Weights that are read at a time: the file system fetches the next ones while one is packed. */
const CONCURRENT_LOADS = 4;

/**
 * Loads weights that are used together, a few at a time.
 *
 * @throws MarianaError as `loadWeight` does, for the first that failed; none is left then.
 */
export async function loadWeights(
  backend: CpuBackend,
  sources: readonly WeightSource[],
  wanted: WeightFormat | 'native',
): Promise<CpuWeight[]> {
  const weights: CpuWeight[] = []; // with holes where one failed
  const failures: { readonly index: number; readonly error: unknown }[] = [];
  let next = 0;
  const loader = async () => {
    while (next < sources.length && failures.length === 0) {
      const index = next++;
      try {
        weights[index] = await loadWeight(backend, sources[index]!, wanted);
      } catch (error) {
        failures.push({ index, error });
      }
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT_LOADS }, loader));
  if (failures.length === 0) return weights;
  for (const index in weights) weights[index]!.dispose();
  failures.sort((a, b) => a.index - b.index);
  throw failures[0]!.error;
}

export async function loadWeight(
  backend: CpuBackend,
  source: WeightSource,
  wanted: WeightFormat | 'native',
): Promise<CpuWeight> {
  checkLengths(source);
  const target = heldFormat(source, wanted);
  if (target === 'int8' || target === 'int4') return loadPacked(backend, source, target);
  if (target === source.format) return loadDense(backend, source, target);
  return loadDense(backend, await convert(source, target), target);
}

/** A weight of another dense format, by way of F32: the slow road, for the formats that no kernel reads. */
async function convert(source: WeightSource, target: 'f32' | 'bf16' | 'fp8'): Promise<WeightSource> {
  const { name, shape } = source;
  const values = await decodeWeight(source);
  if (target === 'f32') return { name, shape, format: 'f32', values: memory(values, name) };
  if (target === 'fp8') {
    const { codes, scales } = quantizeBlocks(values, shape[0], shape[1]);
    return {
      name,
      shape,
      format: 'fp8',
      values: memory(codes, name),
      scales: memory(scales, `${name} scales`),
      blockSize: [128, 128],
    };
  }
  throw new MarianaError('INVALID_ARGUMENT', `${name}: cannot hold a ${source.format} weight as ${target}`);
}

function memory(data: ArrayBufferView, name: string): MemorySource {
  return new MemorySource(viewAsBytes(data), name);
}

async function loadDense(
  backend: CpuBackend,
  source: WeightSource,
  format: 'f32' | 'bf16' | 'fp8',
): Promise<CpuWeight> {
  const [rows, cols] = source.shape;
  const valueBytes = rows * cols * BYTES[format];
  const scaleBytes = 'scales' in source ? source.scales.byteLength : 0;
  const place = new Placement(backend.engine, [valueBytes, scaleBytes]);
  const [at, scales] = place.parts as [number, number];
  try {
    await place.read(source.values, 0, valueBytes, at);
    if ('scales' in source) await place.read(source.scales, 0, scaleBytes, scales);
    if (format === 'fp8') refuseNan(backend, place, at, valueBytes, source.name);
  } catch (error) {
    place.free();
    throw error;
  }
  const matrix: DenseMatrix = { format, at, rows, cols, ...(format === 'fp8' && { scales }) };
  return new CpuWeight(backend, source.shape, format, { ...place, layout: { kind: 'dense', matrix } });
}

async function loadPacked(backend: CpuBackend, source: WeightSource, format: PackedFormat): Promise<CpuWeight> {
  const [rows, cols] = source.shape;
  const { engine } = backend;
  const isPacked = source.format === format;
  const shape = packedShape(engine.kernels, format, rows, cols, keptGroup(source, format));
  const place = new Placement(engine, [shape.dataBytes, shape.scaleBytes]);
  const [data, scales] = place.parts as [number, number];
  const matrix = { ...shape, data, scales };
  try {
    if (isPacked) await stageRows(backend, place, source, matrix);
    else await stageFloats(backend, place, source, matrix);
  } catch (error) {
    place.free();
    throw error;
  }
  return new CpuWeight(backend, source.shape, format, { ...place, layout: { kind: 'packed', matrix } });
}

type Packed = ReturnType<typeof packedShape> & { data: number; scales: number };

/** Quantises a weight that comes as floats or FP8, some panels at a time. */
async function stageFloats(backend: CpuBackend, place: Placement, source: WeightSource, to: Packed): Promise<void> {
  const direct = source.format === 'f32' || source.format === 'bf16' || isFp8(source);
  const from = direct ? source : await convert(source, 'f32');
  const format = from.format as 'f32' | 'bf16' | 'fp8';
  const { arena } = place;
  const rowBytes = to.cols * BYTES[format];
  const rows = panelsOf(rowBytes, to.rows);
  const scaleBytes = 'scales' in from ? from.scales.byteLength : 0;
  const staging = arena.alloc(rows * rowBytes);
  const scales = arena.alloc(scaleBytes);
  try {
    if ('scales' in from) await place.read(from.scales, 0, scaleBytes, scales);
    for (let row = 0; row < to.rows; row += rows) {
      const count = Math.min(rows, to.rows - row);
      await place.read(from.values, row * rowBytes, count * rowBytes, staging);
      if (format === 'fp8') refuseNan(backend, place, staging, count * rowBytes, source.name);
      const matrix: DenseMatrix = {
        format,
        at: staging,
        rows: count,
        cols: to.cols,
        ...(scaleBytes > 0 && { scales }),
      };
      const job = backend.engine.job(arena);
      packWeights(job, to, row, matrix);
      job.run();
    }
  } finally {
    arena.free(staging);
    arena.free(scales);
  }
}

/** Re-arranges a weight that comes as integers already. */
async function stageRows(backend: CpuBackend, place: Placement, source: WeightSource, to: Packed): Promise<void> {
  if (!('scales' in source)) throw new MarianaError('INVALID_ARGUMENT', `${source.name}: has no scales`);
  const { arena } = place;
  const rowBytes = to.format === 'int8' ? to.cols : to.cols / 2;
  const scaleRowBytes = 4 * Math.ceil(to.cols / to.group);
  const rows = panelsOf(rowBytes, to.rows);
  const staging = arena.alloc(rows * rowBytes);
  const scales = arena.alloc(rows * scaleRowBytes);
  try {
    for (let row = 0; row < to.rows; row += rows) {
      const count = Math.min(rows, to.rows - row);
      await place.read(source.values, row * rowBytes, count * rowBytes, staging);
      await place.read(source.scales, row * scaleRowBytes, count * scaleRowBytes, scales);
      const job = backend.engine.job(arena);
      packRows(job, to, row, { at: staging, scales, rows: count });
      job.run();
    }
  } finally {
    arena.free(staging);
    arena.free(scales);
  }
}

function isFp8(source: WeightSource): boolean {
  return 'blockSize' in source && source.blockSize[0] === 128 && source.blockSize[1] === 128;
}

/** Rows that fit the staging area, in whole panels. */
function panelsOf(rowBytes: number, rows: number): number {
  const fitting = Math.max(1, Math.floor(STAGING_BYTES / Math.max(1, rowBytes * PANEL)));
  return Math.min(fitting * PANEL, Math.ceil(rows / PANEL) * PANEL);
}

function refuseNan(backend: CpuBackend, { arena }: Placement, at: number, length: number, name: string): void {
  if (findFp8Nan(backend.engine.job(arena), at, length) >= 0) checkFp8Codes(arena.bytes(at, length), name);
}
