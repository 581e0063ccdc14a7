/**
 * The memory as cells of one width, for what moves elements without looking at them: as unsigned integers even a NaN keeps
 * all of its bits.
 */
import { bytesPerElement, type TensorDType } from '@mariana/core';
import type { Arena } from '../wasm/index.ts';

export type Cells = Uint32Array<ArrayBufferLike> | Uint16Array<ArrayBufferLike> | Uint8Array<ArrayBufferLike>;

/** A view of the whole arena, good until the next allocation, and the bytes of a cell. */
export function cellsOf({ u32, u16, u8 }: Arena, dtype: TensorDType): { cells: Cells; width: number } {
  const width = bytesPerElement(dtype);
  return { cells: width === 4 ? u32 : width === 2 ? u16 : u8, width };
}
