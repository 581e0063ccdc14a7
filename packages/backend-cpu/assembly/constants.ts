/**
 * Numbers that a loop needs in a register or beside it. A vector constant in the code is built anew, from immediates,
 * wherever V8 wants it, which can cost more than what is done with it; these lie in memory (a data segment, the same in
 * every instance) and are broadcast from there.
 */

const TABLE = memory.data<u32>([
  0xffff0000, // 0: the upper half of each lane
  0x87f087f0, // 1: sign, exponent and mantissa of E4M3, shifted right by 4, in each half
  0x0f0f0f0f, // 2: low nibbles
  0x00010001, // 3: one in each half
  0x4b400000, // 4: 1.5 * 2^23: adding it rounds to an integer, which is then in the low bits
  0x3fb8aa3b, // 5: log2(e)
  0x4b40007e, // 6: 1.5 * 2^23 + 126
  0x3f318000, // 7: ln 2, upper part: n times it is exact
  0xb95e8083, // 8: ln 2, lower part
  0x39506967, // 9..14: coefficients of exp
  0x3ab743ce,
  0x3c088908,
  0x3d2aa9c1,
  0x3e2aaaaa,
  0x3f000000,
  0x3f800000, // 15: 1
  0xc2adf5c3, // 16: -86.98
  0x42b20000, // 17: 89
  0x7b800000, // 18: 2^120, what a shifted E4M3 code is short of
  0x7fffffff, // 19: all but the sign
  0xc1000000, // 20: -8
  0x40e00000, // 21: 7
  0xfff8fff8, // 22: -8 in each half
  0x00070007, // 23: 7 in each half
  0x00080008, // 24: 8 in each half
]);

export const UPPER: usize = 0;
export const E4M3_BITS: usize = 1;
export const NIBBLES: usize = 2;
export const ONES16: usize = 3;
export const ROUND: usize = 4;
export const LOG2E: usize = 5;
export const ROUND_EXP: usize = 6;
export const LN2_UPPER: usize = 7;
export const LN2_LOWER: usize = 8;
export const EXP_C0: usize = 9;
export const ONE: usize = 15;
export const EXP_LOW: usize = 16;
export const EXP_HIGH: usize = 17;
export const E4M3_UP: usize = 18;
export const MAGNITUDE: usize = 19;
export const LOWEST4: usize = 20;
export const HIGHEST4: usize = 21;
export const LOWEST4_16: usize = 22;
export const HIGHEST4_16: usize = 23;
export const EIGHT_16: usize = 24;

/** A number of the table in every lane. */
// @ts-ignore: decorator
@inline
export function constant(index: usize): v128 {
  return v128.load32_splat(TABLE + (index << 2));
}

/** A number of the table. */
// @ts-ignore: decorator
@inline
export function constantF(index: usize): f32 {
  return load<f32>(TABLE + (index << 2));
}
