/** Reads a weight back as F32: the way out of every layout, for whoever needs the numbers themselves. */
import { dequantizeBlocks, toF32 } from '@mariana/core';
import type { Arena, PackedMatrix } from '../wasm/index.ts';
import type { CpuWeight } from './cpu-weight.ts';

const PANEL = 16;

/** F32 [out, in], row-major. */
export function unpack(weight: CpuWeight): Float32Array {
  const { arena, layout } = weight;
  const [rows, cols] = weight.shape;
  if (layout.kind === 'packed') return unpackIntegers(arena, layout.matrix);
  const { format, at, scales } = layout.matrix;
  if (format === 'f32') return arena.floats(at, rows * cols).slice();
  if (format === 'bf16') return toF32('bf16', arena.u16.slice(at / 2, at / 2 + rows * cols));
  const scaleCount = Math.ceil(rows / 128) * Math.ceil(cols / 128);
  return dequantizeBlocks(arena.bytes(at, rows * cols), arena.floats(scales ?? 0, scaleCount).slice(), rows, cols);
}

/** Panels of 16 rows, `lanes` consecutive columns of a row side by side (see assembly/quantize.ts). */
function unpackIntegers(arena: Arena, w: PackedMatrix): Float32Array {
  const values = new Float32Array(w.rows * w.cols);
  const groups = Math.ceil(w.paddedCols / w.group);
  const lanes = w.layout === 'quad' ? 4 : 2;
  for (let row = 0; row < w.rows; row++) {
    const panel = Math.floor(row / PANEL);
    const inPanel = row % PANEL;
    const scaleAt = w.scales / 4 + panel * groups * PANEL + inPanel;
    for (let col = 0; col < w.cols; col++) {
      const scale = arena.f32[scaleAt + Math.floor(col / w.group) * PANEL]!;
      values[row * w.cols + col] = code(arena, w, panel, inPanel, col, lanes) * scale;
    }
  }
  return values;
}

function code(arena: Arena, w: PackedMatrix, panel: number, row: number, col: number, lanes: number): number {
  if (w.format === 'int8') {
    const at = w.data + panel * PANEL * w.paddedCols + (Math.floor(col / lanes) * PANEL + row) * lanes + (col % lanes);
    return w.offset ? arena.u8[at]! - 128 : arena.i8[at]!;
  }
  // Two columns a byte, `lanes` apart.
  const block = Math.floor(col / (2 * lanes));
  const within = col % (2 * lanes);
  const at = w.data + (panel * PANEL * w.paddedCols) / 2 + (block * PANEL + row) * lanes + (within % lanes);
  const byte = arena.u8[at]!;
  return (within < lanes ? byte & 15 : byte >> 4) - 8;
}
