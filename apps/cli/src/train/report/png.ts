/** A picture of a few thousand cells: as PNG it is a hundredth of what it would be as SVG. */
import { crc32, deflateSync } from 'node:zlib';

/**
 * A PNG of RGB pixels as a data URL.
 *
 * @param pixels - Three bytes for each pixel, row by row.
 *
 * Source: W3C, Portable Network Graphics, sections 5 and 11.
 */
export function pngUrl(pixels: Uint8Array, width: number, height: number): string {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 2, 0, 0, 0], 8); // 8 bits, RGB, and the only methods there are
  const rows = new Uint8Array(height * (1 + 3 * width)); // each row after a byte that says: not filtered
  for (let y = 0; y < height; y++) {
    rows.set(pixels.subarray(y * 3 * width, (y + 1) * 3 * width), y * (1 + 3 * width) + 1);
  }
  const parts = [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', new Uint8Array(0)),
  ];
  return `data:image/png;base64,${Buffer.concat(parts).toString('base64')}`;
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}
