/**
 * Entries of amounts as the pixels of an image, kept up to date entry by entry. Where there are more cells than pixels, a
 * pixel shows the largest of its cells: what stands out must not get lost.
 */

export interface RasterShape {
  readonly along: 'rows' | 'columns';
  /** Room for entries. */
  readonly room: number;
  /** Cells of an entry. */
  readonly cells: number;
  /** Pixels at most, either way. */
  readonly most: number;
}

/** Pixels of the image. */
export function sizeOf(shape: RasterShape): { readonly wide: number; readonly tall: number } {
  const each = eachOf(shape);
  const lines = Math.max(1, Math.ceil(shape.room / each.entries));
  const length = Math.max(1, Math.ceil(shape.cells / each.cells));
  return shape.along === 'rows' ? { wide: length, tall: lines } : { wide: lines, tall: length };
}

function eachOf({ room, cells, most }: RasterShape): { readonly entries: number; readonly cells: number } {
  return { entries: Math.max(1, Math.ceil(room / most)), cells: Math.max(1, Math.ceil(cells / most)) };
}

export class Raster<T extends object> {
  readonly wide: number;
  readonly tall: number;
  /** The amount of each pixel, row by row; NaN where there is nothing. */
  readonly values: Float32Array;
  readonly #shape: RasterShape;
  /** Entries and cells that a pixel stands for. */
  readonly #each: { readonly entries: number; readonly cells: number };
  readonly #known: (T | undefined)[] = [];

  constructor(shape: RasterShape) {
    this.#shape = shape;
    this.#each = eachOf(shape);
    const { wide, tall } = sizeOf(shape);
    this.wide = wide;
    this.tall = tall;
    this.values = new Float32Array(this.wide * this.tall).fill(Number.NaN);
  }

  /**
   * Draws the entries that are others than before.
   *
   * @param amounts - Writes the amounts of an entry into an array that is NaN everywhere.
   * @returns The first and last line (row, or column) of pixels that changed; null if none did.
   */
  update(
    entries: readonly (T | undefined)[],
    amounts: (entry: T, into: Float32Array) => void,
  ): { readonly first: number; readonly last: number } | null {
    const known = this.#known;
    const { along, cells } = this.#shape;
    const each = this.#each;
    // A pixel of several entries cannot forget one of them.
    if (each.entries > 1 && known.some((entry, index) => entry !== undefined && entry !== entries[index])) {
      this.values.fill(Number.NaN);
      known.length = 0;
      this.update(entries, amounts);
      return { first: 0, last: (along === 'rows' ? this.tall : this.wide) - 1 };
    }
    const [step, stride] = along === 'rows' ? [1, this.wide] : [this.wide, 1];
    const own = new Float32Array(cells);
    let [first, last] = [Number.POSITIVE_INFINITY, -1];
    for (let index = 0; index < Math.max(entries.length, known.length); index++) {
      const entry = entries[index];
      if (entry === known[index]) continue;
      known[index] = entry;
      own.fill(Number.NaN);
      if (entry !== undefined) amounts(entry, own);
      const line = Math.floor(index / each.entries);
      for (let from = 0, at = line * stride; from < cells; from += each.cells, at += step) {
        let largest = each.entries > 1 ? this.values[at]! : Number.NaN;
        for (let cell = from; cell < Math.min(cells, from + each.cells); cell++) {
          // Nothing compares to NaN, so anything takes its place.
          if (!(own[cell]! <= largest) && !Number.isNaN(own[cell]!)) largest = own[cell]!;
        }
        this.values[at] = largest;
      }
      first = Math.min(first, line);
      last = Math.max(last, line);
    }
    known.length = entries.length;
    return last < 0 ? null : { first, last };
  }
}
