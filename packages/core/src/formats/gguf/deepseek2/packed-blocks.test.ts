/** Blocks taken apart are the same numbers, whatever part of them is read, and wherever it is put. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBlocks, encodeBlocks } from '../../../dtype/block-formats.ts';
import { viewAsBytes } from '../../../dtype/convert.ts';
import { dequantizeGroups } from '../../../dtype/groups.ts';
import { readBytes } from '../../source.ts';
import { MemorySource } from '../../sources/memory-source.ts';
import { PACKED_GROUP, packedCodes, packedScales } from './packed-blocks.ts';

const [rows, columns] = [3, 96];
const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * 2.3) * (i + 1) ** 0.7);

describe.each([
  ['q8_0', 'int8'],
  ['q4_0', 'int4'],
] as const)('%s', (format, integers) => {
  const blocks = encodeBlocks(format, values);
  const source = new MemorySource(blocks, 'blocks');
  const codes = packedCodes(format, source, 'codes');
  const scales = packedScales(format, source, 'scales');

  it('means the same as grouped integers', async () => {
    const scaleValues = new Float32Array((await readBytes(scales)).buffer);
    const decoded = dequantizeGroups(integers, await readBytes(codes), scaleValues, rows, columns, PACKED_GROUP);
    expect(decoded).toEqual(decodeBlocks(format, blocks));
  });

  it('gives any range of codes and scales, to any address', async () => {
    for (const part of [codes, scales]) {
      const whole = await readBytes(part);
      await fc.assert(
        fc.asyncProperty(fc.nat(whole.length), fc.nat(whole.length), fc.nat(7), async (a, b, shift) => {
          const [from, to] = [Math.min(a, b), Math.max(a, b)];
          const target = new Uint8Array(to - from + 16);
          await part.read(from, target.subarray(shift, shift + to - from));
          expect(target.subarray(shift, shift + to - from)).toEqual(whole.subarray(from, to));
          expect(target.subarray(shift + to - from).every((byte) => byte === 0)).toBe(true);
        }),
      );
    }
  });

  it('reads more than a piece of the file at once', async () => {
    const many = new Uint8Array((40_000 * blocks.length) / 9);
    for (let at = 0; at < many.length; at += blocks.length / 9) many.set(blocks.subarray(0, blocks.length / 9), at);
    const large = new MemorySource(many, 'many');
    const first = await readBytes(packedCodes(format, source, 'one'), 0, format === 'q8_0' ? 32 : 16);
    const all = await readBytes(packedCodes(format, large, 'all'));
    expect(all.length).toBe(40_000 * first.length);
    for (const block of [0, 1, 30_840, 30_841, 39_999]) {
      expect(all.subarray(block * first.length, (block + 1) * first.length)).toEqual(first);
    }
    const view = new Float32Array((await readBytes(packedScales(format, large, 'scales'))).buffer);
    expect(new Set(view).size).toBe(1);
    expect(viewAsBytes(view).length).toBe(160_000);
  });
});
