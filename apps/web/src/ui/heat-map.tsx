/**
 * Amounts in rows and columns, one pixel of an image for each, stretched to the room that there is: cheap enough to be
 * drawn anew for every token. Cells without an amount are left empty.
 */
import { useEffect, useRef } from 'preact/hooks';
import { amountPixels, isDark } from './colors.ts';
import './heat-map.css';

export interface HeatMapProps {
  readonly rows: number;
  readonly columns: number;
  /** Writes amounts (0 to 1, row by row) into an array of rows * columns that is NaN everywhere. */
  readonly fill: (cells: Float32Array) => void;
  /** Whatever the amounts depend on. */
  readonly of: readonly unknown[];
  /** Height in CSS pixels. */
  readonly height: number;
  /** What it shows; null where something around it says so. */
  readonly label: string | null;
  /** Column that is marked, or null. */
  readonly marked?: number | null;
  /** Row that is marked, or null. */
  readonly markedRow?: number | null;
  /** Told which cell was pointed at. */
  readonly onPoint?: (row: number, column: number) => void;
}

export function HeatMap(props: HeatMapProps) {
  const { rows, columns, fill, of, height, label, marked = null, markedRow = null, onPoint } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const dark = isDark.value;

  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context || rows === 0 || columns === 0) return;
    const cells = new Float32Array(rows * columns).fill(Number.NaN);
    fill(cells);
    const image = context.createImageData(columns, rows);
    const pixels = new Uint32Array(image.data.buffer);
    const scale = amountPixels(dark);
    for (const [index, amount] of cells.entries()) {
      if (!Number.isNaN(amount)) pixels[index] = scale[Math.round(255 * Math.min(1, Math.max(0, amount)))]!;
    }
    context.putImageData(image, 0, 0);
  }, [rows, columns, dark, ...of]);

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
        width={Math.max(1, columns)}
        height={Math.max(1, rows)}
        {...(label === null ? { 'aria-hidden': true } : { role: 'img', 'aria-label': label })}
        onPointerMove={onPointerMove}
        onPointerDown={onPointerMove}
      />
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
