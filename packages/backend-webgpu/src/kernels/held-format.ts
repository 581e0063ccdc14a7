/**
 * How kernels read a weight, whatever its format: rows of 16-byte vectors, each with the values of a few consecutive
 * inputs, which come in chunks of four. `f32` and `bf16` lie like the packed formats of `packed-weight.ts`: rows padded
 * with zeros to whole vectors, without scales.
 */
import type { KernelElement } from './kernel.ts';
import { CODES_PER_VECTOR, DECODE_FP8, DECODE_INT4, DECODE_INT8, type PackedFormat } from './packed-weight.ts';

/** The formats that weights are held in. */
export type HeldFormat = 'f32' | 'bf16' | PackedFormat;

export interface FormatText {
  /** Element of the buffer. */
  readonly element: Extract<KernelElement, 'vec4<f32>' | 'vec4<u32>'>;
  /** Inputs in a vector. */
  readonly inputs: number;
  /** WGSL expressions of type vec4<f32> for each four inputs of the vector `c`, without scale. */
  readonly chunks: readonly string[];
  /** Functions that they call. */
  readonly helpers: string;
  readonly scaled: boolean;
}

const WORDS = ['c.x', 'c.y', 'c.z', 'c.w'];

const DECODE_BF16 = /* wgsl */ `
fn decode_bf16(a: u32, b: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(a << 16u, a & 0xffff0000u, b << 16u, b & 0xffff0000u));
}
`;

export const FORMAT_TEXTS: Readonly<Record<HeldFormat, FormatText>> = {
  f32: { element: 'vec4<f32>', inputs: 4, chunks: ['c'], helpers: '', scaled: false },
  bf16: {
    element: 'vec4<u32>',
    inputs: 8,
    chunks: ['decode_bf16(c.x, c.y)', 'decode_bf16(c.z, c.w)'],
    helpers: DECODE_BF16,
    scaled: false,
  },
  fp8: {
    element: 'vec4<u32>',
    inputs: CODES_PER_VECTOR.fp8,
    chunks: WORDS.map((word) => `decode_fp8(${word})`),
    helpers: DECODE_FP8,
    scaled: true,
  },
  int8: {
    element: 'vec4<u32>',
    inputs: CODES_PER_VECTOR.int8,
    chunks: WORDS.map((word) => `decode_int8(${word})`),
    helpers: DECODE_INT8,
    scaled: true,
  },
  int4: {
    element: 'vec4<u32>',
    inputs: CODES_PER_VECTOR.int4,
    chunks: WORDS.flatMap((word) => [`decode_int4(${word})`, `decode_int4(${word} >> 16u)`]),
    helpers: DECODE_INT4,
    scaled: true,
  },
};
