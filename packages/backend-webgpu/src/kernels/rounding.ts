/**
 * Rounding to the shorter formats and to integers, on bits: to nearest, ties to even, the same on every device. Tensors
 * of short floats hold the rounded values as f32.
 */
import type { TensorDType } from '@mariana/core';
import { elementwiseKernel, type FlatShape } from './elementwise.ts';
import type { Kernel } from './kernel.ts';
import { FLAT_WORKGROUP, flatDispatch, flatMain } from './wgsl.ts';

/** Mantissa bits, the smallest normal exponent, and what lies beyond the largest number. */
interface ShortFloat {
  readonly mantissa: number;
  readonly minExponent: number;
  readonly max: number;
  readonly overflow: 'saturate' | 'infinity';
}

const SHORT_FLOATS = {
  f16: { mantissa: 10, minExponent: -14, max: 65504, overflow: 'infinity' },
  e4m3: { mantissa: 3, minExponent: -6, max: 448, overflow: 'saturate' },
  e5m2: { mantissa: 2, minExponent: -14, max: 57344, overflow: 'saturate' },
} as const satisfies Record<string, ShortFloat>;

/** The float formats that values can be rounded to. */
export type RoundedFloat = 'bf16' | keyof typeof SHORT_FLOATS;

const BF16 = /* wgsl */ `
fn round_bf16(bits: u32) -> u32 {
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return bits | 0x400000u; }
  return (bits + 0x7fffu + ((bits >> 16u) & 1u)) & 0xffff0000u;
}
`;

function shortFloat(name: string, { mantissa, minExponent, max, overflow }: ShortFloat): string {
  const largest = `0x${bitsOf(max).toString(16)}u`;
  const beyond = overflow === 'saturate' ? largest : '0x7f800000u';
  return /* wgsl */ `
fn round_${name}(bits: u32) -> u32 {
  let sign = bits & 0x80000000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return bits | 0x400000u; }
  if (magnitude == 0x7f800000u) { return sign | ${beyond}; }
  let exponent = magnitude >> 23u;
  // Below the normal numbers each step down in the exponent loses a bit.
  let shift = ${23 - mantissa}u + u32(max(${minExponent + 127} - i32(exponent), 0));
  if (shift > 24u || exponent == 0u) { return sign; }
  let digits = (magnitude & 0x7fffffu) | 0x800000u;
  let rest = digits & ((1u << shift) - 1u);
  let half = 1u << (shift - 1u);
  var kept = digits >> shift;
  kept += select(0u, 1u, rest > half || (rest == half && (kept & 1u) == 1u));
  if (kept == 0u) { return sign; }
  // kept * 2^(exponent - 150 + shift), which is a normal f32.
  let value = bitcast<u32>(f32(kept)) + ((exponent + shift - 150u) << 23u);
  return sign | select(value, ${beyond}, value > ${largest});
}
`;
}

function bitsOf(x: number): number {
  return new Uint32Array(Float32Array.of(x).buffer)[0]!;
}

/** WGSL: `fn round_<format>(bits: u32) -> u32`, from and to the bits of an f32. */
export function roundFunction(format: RoundedFloat): string {
  return format === 'bf16' ? BF16 : shortFloat(format, SHORT_FLOATS[format]);
}

/** Rounds f32 values to the values of a shorter float. */
export function roundKernel(format: RoundedFloat): Kernel<FlatShape> {
  return elementwiseKernel({
    label: `to-${format}`,
    operands: ['u32'],
    result: 'u32',
    rank: 1,
    value: `round_${format}(a)`,
    helpers: roundFunction(format),
  });
}

const TO_INTEGER = /* wgsl */ `
fn to_i32(x: f32) -> i32 {
  if ((bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u) { return 0; }
  if (x >= 2147483648.0) { return 2147483647; }
  if (x <= -2147483648.0) { return bitcast<i32>(0x80000000u); }
  return i32(x);
}
`;

const FROM_INTEGER = /* wgsl */ `
fn to_f32(x: i32) -> f32 {
  let magnitude = select(u32(x), ~u32(x) + 1u, x < 0);
  let spare = countLeadingZeros(magnitude);
  var value = f32(magnitude);
  if (spare < 8u) {
    let shift = 8u - spare;
    let rest = magnitude & ((1u << shift) - 1u);
    let half = 1u << (shift - 1u);
    var kept = magnitude >> shift;
    kept += select(0u, 1u, rest > half || (rest == half && (kept & 1u) == 1u));
    value = f32(kept) * f32(1u << shift);
  }
  return select(value, -value, x < 0);
}
`;

/** Integers of a byte are held as f32. */
const BYTES: Readonly<Record<'i8' | 'u8', string>> = {
  i8: 'f32(clamp(to_i32(a), -128, 127))',
  u8: 'f32(clamp(to_i32(a), 0, 255))',
};

/** f32 to an integer: towards zero, to the end of the range where there is none, NaN to 0. */
export function toIntegerKernel(dtype: Extract<TensorDType, 'i32' | 'i8' | 'u8'>): Kernel<FlatShape> {
  return elementwiseKernel({
    label: `to-${dtype}`,
    operands: ['f32'],
    result: dtype === 'i32' ? 'i32' : 'f32',
    rank: 1,
    value: dtype === 'i32' ? 'to_i32(a)' : BYTES[dtype],
    helpers: TO_INTEGER,
  });
}

/** i32 to f32, to nearest, ties to even. */
export function fromIntegerKernel(): Kernel<FlatShape> {
  return elementwiseKernel({
    label: 'from-i32',
    operands: ['i32'],
    result: 'f32',
    rank: 1,
    value: 'to_f32(a)',
    helpers: FROM_INTEGER,
  });
}

/**
 * Overwrites rows of y [rows, width] with x [count, width], rounded to the target's format. Rows that follow each other
 * are told by the first (`listed` false); others are listed in `targets`.
 * Uniforms: `size`, `width`, `first`.
 */
export function writeRowsKernel(format: 'f32' | 'bf16' | 'f16', listed: boolean): Kernel<FlatShape> {
  const row = listed ? 'u32(targets[i / uniforms.width])' : 'uniforms.first + i / uniforms.width';
  const value = format === 'f32' ? 'x[i]' : `round_${format}(x[i])`;
  return {
    workgroupSize: [FLAT_WORKGROUP, 1, 1],
    dispatch: ({ size }) => flatDispatch(size),
    label: 'write-rows',
    key: `write-rows/${format}/${listed}`,
    code:
      (format === 'f32' ? '' : roundFunction(format)) +
      flatMain(`  y[(${row}) * uniforms.width + i % uniforms.width] = ${value};`),
    bindings: [
      { name: 'x', access: 'read', element: 'u32' },
      { name: 'y', access: 'write', element: 'u32' },
      ...(listed ? [{ name: 'targets', access: 'read' as const, element: 'i32' as const }] : []),
    ],
    uniforms: [
      { name: 'size', type: 'u32' },
      { name: 'width', type: 'u32' },
      { name: 'first', type: 'u32' },
    ],
  };
}
