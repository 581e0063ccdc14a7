/**
 * Weights of every format with known values. Codes and scales are drawn at random, not quantised from something, so
 * that all codes occur and no quantiser stands between the test and the format.
 */
import {
  decodeBf16,
  decodeE4m3,
  decodeF16,
  encodeBf16,
  encodeF16,
  MemorySource,
  viewAsBytes,
  type WeightFormat,
  type WeightSource,
} from '@mariana/core';
import { integer, type Random, reals } from './random.ts';

/** Every format of a weight. */
export const WEIGHT_FORMATS: readonly WeightFormat[] = ['f32', 'bf16', 'f16', 'fp8', 'int8', 'int4'];

/** A weight that can be loaded, and what it holds. */
export interface KnownWeight {
  readonly source: WeightSource;
  /** Row-major, each the float32 nearest to code times scale. */
  readonly values: Float32Array;
}

/** Sizes of the pieces that share a scale. */
export interface Grouping {
  /** Rows and columns of an FP8 block. */
  readonly blockSize: readonly [number, number];
  /** Inputs of an INT8 or INT4 group. */
  readonly groupSize: number;
}

/** The sizes that checkpoints have. */
export function defaultGrouping(format: WeightFormat): Grouping {
  return { blockSize: [128, 128], groupSize: format === 'int4' ? 32 : 128 };
}

/** A weight [out, in] of a format, its values of the size of ordinary weights: below about 2. */
export function knownWeight(
  random: Random,
  format: WeightFormat,
  [out, inputs]: readonly [number, number],
  grouping = defaultGrouping(format),
): KnownWeight {
  const size = out * inputs;
  const name = `${format} [${out}, ${inputs}]`;
  const shape = [out, inputs] as const;
  const source = (bytes: ArrayBufferView, part: string) => new MemorySource(viewAsBytes(bytes), `${name} ${part}`);
  switch (format) {
    case 'f32': {
      const values = reals(random, size);
      return { source: { name, format, shape, values: source(values, 'values') }, values };
    }
    case 'bf16':
    case 'f16': {
      const [encode, decode] = format === 'bf16' ? [encodeBf16, decodeBf16] : [encodeF16, decodeF16];
      const codes = Uint16Array.from(reals(random, size), encode);
      return {
        source: { name, format, shape, values: source(codes, 'values') },
        values: Float32Array.from(codes, decode),
      };
    }
    case 'fp8': {
      const { blockSize } = grouping;
      const across = Math.ceil(inputs / blockSize[1]);
      const codes = Uint8Array.from({ length: size }, () => integer(random, 0, 126) | (random() < 0.5 ? 0x80 : 0));
      const scales = reals(random, Math.ceil(out / blockSize[0]) * across, 2 ** -9, 2 ** -8);
      const values = Float32Array.from(codes, (code, i) => {
        const [row, column] = [Math.floor(i / inputs), i % inputs];
        const scale = scales[Math.floor(row / blockSize[0]) * across + Math.floor(column / blockSize[1])]!;
        return decodeE4m3(code) * scale;
      });
      const parts = { values: source(codes, 'codes'), scales: source(scales, 'scales') };
      return { source: { name, format, shape, blockSize, ...parts }, values };
    }
    case 'int8': {
      const { groupSize } = grouping;
      const codes = Int8Array.from({ length: size }, () => integer(random, -127, 127));
      const { scales, scaleAt } = groupScales(random, shape, groupSize, 2 ** -6, false);
      const values = Float32Array.from(codes, (code, i) => code * scaleAt(i));
      const parts = { values: source(codes, 'codes'), scales: source(scales, 'scales') };
      return { source: { name, format, shape, groupSize, ...parts }, values };
    }
    case 'int4': {
      const { groupSize } = grouping;
      const nibbles = Uint8Array.from({ length: size }, () => integer(random, 0, 15));
      const { scales, scaleAt } = groupScales(random, shape, groupSize, 2 ** -2, true);
      const values = Float32Array.from(nibbles, (nibble, i) => (nibble - 8) * scaleAt(i));
      const parts = { values: source(packNibbles(nibbles, shape), 'codes'), scales: source(scales, 'scales') };
      return { source: { name, format, shape, groupSize, ...parts }, values };
    }
  }
}

function groupScales(
  random: Random,
  [out, inputs]: readonly [number, number],
  groupSize: number,
  largest: number,
  isSigned: boolean,
) {
  const across = Math.ceil(inputs / groupSize);
  const scales = reals(random, out * across, largest / 2, largest);
  if (isSigned) for (let i = 0; i < scales.length; i++) if (random() < 0.5) scales[i] = -scales[i]!;
  const scaleAt = (i: number) => scales[Math.floor(i / inputs) * across + Math.floor((i % inputs) / groupSize)]!;
  return { scales, scaleAt };
}

/** Two nibbles a byte along each row, low first; a row of odd length ends with the nibble of zero, 8. */
function packNibbles(nibbles: Uint8Array, [out, inputs]: readonly [number, number]): Uint8Array {
  const rowBytes = Math.ceil(inputs / 2);
  return Uint8Array.from({ length: out * rowBytes }, (_, at) => {
    const [row, column] = [Math.floor(at / rowBytes), 2 * (at % rowBytes)];
    const high = column + 1 < inputs ? nibbles[row * inputs + column + 1]! : 8;
    return nibbles[row * inputs + column]! | (high << 4);
  });
}
