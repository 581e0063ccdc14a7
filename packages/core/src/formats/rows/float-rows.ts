/**
 * A matrix as its rows in float32, made when they are asked for: the common coin of everything that turns one weight
 * format into another. Rows are cut, stacked, re-ordered and transposed here without ever holding a whole matrix, and
 * `encodedRows` (encoded-rows.ts) turns the result into bytes again.
 */

import { BLOCK_LAYOUTS, type BlockFormat, decodeBlocks } from '../../dtype/block-formats.ts';
import { bytesToF32 } from '../../dtype/convert.ts';
import { bytesPerElement, type DType } from '../../dtype/dtype.ts';
import { MarianaError } from '../../errors.ts';
import { type ByteSource, readBytes } from '../source.ts';

/** A matrix [rows, columns] whose rows are made when they are asked for. */
export interface FloatRows {
  /** What to call it in messages. */
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /**
   * The values of `count` rows from `first` on, in an array of their own.
   *
   * @throws MarianaError what the source throws.
   */
  read(first: number, count: number): Promise<Float32Array>;
}

/** Bytes of one row of `columns` values. @throws MarianaError `SHAPE_MISMATCH` if it is no whole number of blocks. */
export function rowBytes(format: DType | BlockFormat, columns: number): number {
  if (!Object.hasOwn(BLOCK_LAYOUTS, format)) return columns * bytesPerElement(format as DType);
  const { values, bytes } = BLOCK_LAYOUTS[format as BlockFormat];
  if (columns % values === 0) return (columns / values) * bytes;
  throw new MarianaError('SHAPE_MISMATCH', `a row of ${columns} values is no whole number of ${format} blocks`);
}

/** The rows of a matrix that is stored row after row in a dense or a block format. */
export function storedRows(format: DType | BlockFormat, source: ByteSource, rows: number, columns: number): FloatRows {
  const size = rowBytes(format, columns);
  return {
    name: source.name,
    rows,
    columns,
    async read(first, count) {
      const bytes = await readBytes(source, first * size, count * size);
      return Object.hasOwn(BLOCK_LAYOUTS, format)
        ? decodeBlocks(format as BlockFormat, bytes)
        : bytesToF32(format as DType, bytes);
    },
  };
}

/** `count` rows of a matrix from `first` on, as a matrix. */
export function sliceRows(matrix: FloatRows, first: number, count: number): FloatRows {
  return {
    name: matrix.name,
    rows: count,
    columns: matrix.columns,
    read: (from, rows) => matrix.read(first + from, rows),
  };
}

/** Matrices of equal width, one below the other. */
export function stackRows(name: string, parts: readonly FloatRows[]): FloatRows {
  const columns = parts[0]?.columns ?? 0;
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  return {
    name,
    rows,
    columns,
    async read(first, count) {
      const values = new Float32Array(count * columns);
      let start = 0;
      for (const part of parts) {
        const from = Math.max(first, start);
        const to = Math.min(first + count, start + part.rows);
        if (from < to) values.set(await part.read(from - start, to - from), (from - first) * columns);
        start += part.rows;
      }
      return values;
    },
  };
}

/**
 * The rows of a matrix in another order, perhaps not all of them.
 *
 * @param from which row of `matrix` stands at a row of the result; runs of neighbours are read together
 */
export function pickRows(matrix: FloatRows, rows: number, from: (row: number) => number): FloatRows {
  const { name, columns } = matrix;
  return {
    name,
    rows,
    columns,
    async read(first, count) {
      const values = new Float32Array(count * columns);
      for (let done = 0; done < count; ) {
        const start = from(first + done);
        let run = 1;
        while (done + run < count && from(first + done + run) === start + run) run++;
        values.set(await matrix.read(start, run), done * columns);
        done += run;
      }
      return values;
    },
  };
}

/**
 * A stack of equally high matrices, each of them transposed: [groups * height, columns] becomes
 * [groups * columns, height]. The group read last is kept, so that reading in order reads each group once.
 */
export function transposeGroups(matrix: FloatRows, height: number): FloatRows {
  const { name, columns } = matrix;
  const groups = matrix.rows / height;
  let kept: { readonly group: number; readonly values: Promise<Float32Array> } | undefined;
  const transposed = (group: number): Promise<Float32Array> => {
    if (kept?.group !== group) {
      const values = matrix.read(group * height, height).then((rows) => transpose(rows, height, columns));
      kept = { group, values };
      values.catch(() => {
        kept = undefined; // so that reading again tries again
      });
    }
    return kept.values;
  };
  return {
    name,
    rows: groups * columns,
    columns: height,
    async read(first, count) {
      const values = new Float32Array(count * height);
      for (let row = first; row < first + count; ) {
        const group = Math.floor(row / columns);
        const within = row - group * columns;
        const run = Math.min(columns - within, first + count - row);
        const part = (await transposed(group)).subarray(within * height, (within + run) * height);
        values.set(part, (row - first) * height);
        row += run;
      }
      return values;
    },
  };
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = values[row * columns + column]!;
  }
  return result;
}
