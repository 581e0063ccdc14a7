/**
 * Amounts in rows and columns, one pixel of an image for each, stretched to the room that there is. It is drawn entry by
 * entry (a token is a column of experts, or a row of attention), and only entries that changed are drawn again: what a
 * token costs does not depend on how many there are.
 */
import { useLayoutEffect, useRef } from 'preact/hooks';
import { amountPixels, isDark } from './colors.ts';
import './heat-map.css';

export interface HeatMapProps<T extends object> {
  /** What there is to see, one after the other; undefined where there is nothing (yet). */
  readonly entries: readonly (T | undefined)[];
  /** Whether each entry is a row or a column. */
  readonly along: 'rows' | 'columns';
  /** Room for entries: at least as many as there are. */
  readonly room: number;
  /** Cells of an entry. */
  readonly cells: number;
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
interface Painted {
  readonly image: ImageData;
  readonly pixels: Uint32Array;
  readonly entries: (object | undefined)[];
  readonly of: readonly unknown[];
}

export function HeatMap<T extends object>(props: HeatMapProps<T>) {
  const { along, room, cells, height, label, marked = null, markedRow = null, hasGrid = false, onPoint } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const painted = useRef<Painted | null>(null);
  const rows = Math.max(1, along === 'rows' ? room : cells);
  const columns = Math.max(1, along === 'rows' ? cells : room);
  const dark = isDark.value;

  useLayoutEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context) return;
    painted.current = paint(context, painted.current, rows, columns, dark, props);
  });

  const onPointerMove = (event: PointerEvent) => {
    if (!onPoint || !canvas.current) return;
    const { left, top, width, height: tall } = canvas.current.getBoundingClientRect();
    const column = Math.floor(((event.clientX - left) / width) * columns);
    const row = Math.floor(((event.clientY - top) / tall) * rows);
    if (column >= 0 && column < columns && row >= 0 && row < rows) onPoint(row, column);
  };

  return (
    <div class="heat-map" style={{ height: `${height}px` }}>
      <canvas
        ref={canvas}
        width={columns}
        height={rows}
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
  before: Painted | null,
  rows: number,
  columns: number,
  dark: boolean,
  { entries, along, cells, amounts, of = [] }: HeatMapProps<T>,
): Painted {
  const depends = [dark, ...of];
  const isSame =
    before !== null &&
    before.image.width === columns &&
    before.image.height === rows &&
    before.of.length === depends.length &&
    depends.every((value, index) => Object.is(value, before.of[index]));
  const image = isSame ? before.image : context.createImageData(columns, rows);
  const pixels = isSame ? before.pixels : new Uint32Array(image.data.buffer);
  const known = isSame ? before.entries : [];
  const scale = amountPixels(dark);
  const values = new Float32Array(cells);
  const [step, stride] = along === 'rows' ? [1, columns] : [columns, 1];
  let [first, last] = [Number.POSITIVE_INFINITY, -1];
  for (let index = 0; index < Math.max(entries.length, known.length); index++) {
    const entry = entries[index];
    if (entry === known[index]) continue;
    values.fill(Number.NaN);
    if (entry !== undefined) amounts(entry, values);
    let at = index * stride;
    for (const amount of values) {
      pixels[at] = Number.isNaN(amount) ? 0 : scale[Math.round(255 * Math.min(1, Math.max(0, amount)))]!;
      at += step;
    }
    known[index] = entry;
    first = Math.min(first, index);
    last = index;
  }
  known.length = entries.length;
  if (!isSame) context.putImageData(image, 0, 0);
  else if (last >= 0 && along === 'rows') context.putImageData(image, 0, 0, 0, first, columns, last - first + 1);
  else if (last >= 0) context.putImageData(image, 0, 0, first, 0, last - first + 1, rows);
  return { image, pixels, entries: known, of: depends };
}
