/**
 * Amounts in rows and columns, one pixel of an image for each, stretched to the room that there is. It is drawn entry by
 * entry (a token is a column of experts, or a row of attention), and only entries that changed are drawn again: what a
 * token costs does not depend on how many there are.
 */
import { useLayoutEffect, useRef } from 'preact/hooks';
import { amountPixels, isDark } from './colors.ts';
import './heat-map.css';
import { Raster, type RasterShape, sizeOf } from './raster.ts';

export interface HeatMapProps<T extends object> {
  /** What there is to see, one after the other; undefined where there is nothing (yet). */
  readonly entries: readonly (T | undefined)[];
  /** Whether each entry is a row or a column. */
  readonly along: 'rows' | 'columns';
  /** Room for entries: at least as many as there are. */
  readonly room: number;
  /** Cells of an entry. */
  readonly cells: number;
  /** Pixels of the image, at most, either way; where there are more cells, a pixel is the largest of some. Default: no limit. */
  readonly most?: number;
  /** Writes the amounts of an entry (0 to 1) into an array that is NaN everywhere, which stays an empty cell. */
  readonly amounts: (entry: T, into: Float32Array) => void;
  /** Whatever amounts depend on beside the entry: all is drawn anew if it changes. */
  readonly of?: readonly unknown[];
  /** Height in CSS pixels. */
  readonly height: number;
  /** What it shows; null where something around it says so. */
  readonly label: string | null;
  /** Column that is marked, or null. */
  readonly marked?: number | null;
  /** Row that is marked, or null. */
  readonly markedRow?: number | null;
  /** Lines between cells, where there are few. */
  readonly hasGrid?: boolean;
  /** Told which cell was pointed at. */
  readonly onPoint?: (row: number, column: number) => void;
}

/** What is on the canvas. */
interface Painted<T extends object> {
  readonly raster: Raster<T>;
  readonly image: ImageData;
  readonly pixels: Uint32Array;
  readonly of: readonly unknown[];
}

export function HeatMap<T extends object>(props: HeatMapProps<T>) {
  const {
    along,
    room,
    cells,
    most = Number.POSITIVE_INFINITY,
    height,
    label,
    marked = null,
    markedRow = null,
    hasGrid = false,
    onPoint,
  } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const painted = useRef<Painted<T> | null>(null);
  const [rows, columns] = along === 'rows' ? [room, cells] : [cells, room];
  const dark = isDark.value;
  const shape: RasterShape = { along, room, cells, most };
  const { wide, tall } = sizeOf(shape);

  useLayoutEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (context) painted.current = paint(context, painted.current, shape, dark, props);
  });

  const onPointerMove = (event: PointerEvent) => {
    if (!onPoint || !canvas.current) return;
    const { left, top, width, height: high } = canvas.current.getBoundingClientRect();
    const column = Math.floor(((event.clientX - left) / width) * columns);
    const row = Math.floor(((event.clientY - top) / high) * rows);
    if (column >= 0 && column < columns && row >= 0 && row < rows) onPoint(row, column);
  };

  return (
    <div class="heat-map" style={{ height: `${height}px` }}>
      <canvas
        ref={canvas}
        width={wide}
        height={tall}
        {...(label === null ? { 'aria-hidden': true } : { role: 'img', 'aria-label': label })}
        onPointerMove={onPointerMove}
        onPointerDown={onPointerMove}
      />
      {hasGrid && (
        <div class="heat-map-grid" style={{ backgroundSize: `${100 / columns}% 100%, 100% ${100 / rows}%` }} />
      )}
      {marked !== null && (
        <div
          class="heat-map-mark"
          style={{ left: `${(100 * marked) / columns}%`, width: `max(3px, ${100 / columns}%)` }}
        />
      )}
      {markedRow !== null && (
        <div
          class="heat-map-mark heat-map-mark-row"
          style={{ top: `${(100 * markedRow) / rows}%`, height: `max(3px, ${100 / rows}%)` }}
        />
      )}
    </div>
  );
}

function paint<T extends object>(
  context: CanvasRenderingContext2D,
  before: Painted<T> | null,
  shape: RasterShape,
  dark: boolean,
  { entries, amounts, of = [] }: HeatMapProps<T>,
): Painted<T> {
  const depends = [dark, ...Object.values(shape), ...of];
  const isSame =
    before !== null &&
    before.of.length === depends.length &&
    depends.every((value, index) => Object.is(value, before.of[index]));
  const now = isSame ? before : begin<T>(context, shape, depends);
  const { raster, image, pixels } = now;
  const changed = raster.update(entries, amounts);
  if (changed === null) {
    if (!isSame) context.putImageData(image, 0, 0);
    return now;
  }
  const { first, last } = changed;
  const [x, y, width, height] =
    shape.along === 'rows' ? [0, first, raster.wide, last - first + 1] : [first, 0, last - first + 1, raster.tall];
  const scale = amountPixels(dark);
  for (let row = y; row < y + height; row++) {
    for (let at = row * raster.wide + x, end = at + width; at < end; at++) {
      const amount = raster.values[at]!;
      pixels[at] = Number.isNaN(amount) ? 0 : scale[Math.round(255 * Math.min(1, Math.max(0, amount)))]!;
    }
  }
  if (isSame) context.putImageData(image, 0, 0, x, y, width, height);
  else context.putImageData(image, 0, 0);
  return now;
}

function begin<T extends object>(
  context: CanvasRenderingContext2D,
  shape: RasterShape,
  of: readonly unknown[],
): Painted<T> {
  const raster = new Raster<T>(shape);
  const image = context.createImageData(raster.wide, raster.tall);
  return { raster, image, pixels: new Uint32Array(image.data.buffer), of };
}
