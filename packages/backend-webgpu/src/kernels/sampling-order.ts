/**
 * The order in which kernels rank floats, as integers: choosing the largest by comparing floats would leave NaN to the
 * device (which may assume that there is none) and subnormals too (which it may flush). Bits have neither trouble.
 *
 * - Numbers in their order, subnormals included; -0 and 0 are equal, so that the place decides between them.
 * - NaN counts as larger than everything: a row with NaN in it yields NaN, where whoever reads the result can see it.
 */

/** WGSL: `sort_key(bits of an f32) -> u32`, monotone and never 0; `unsorted(key) -> u32`, bits of a float of that rank. */
export const SORT_KEY = /* wgsl */ `
fn sort_key(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude == 0u) { return 0x80000000u; }
  if (magnitude > 0x7f800000u) { return 0xffffffffu; }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn unsorted(key: u32) -> u32 {
  return select(~key, key & 0x7fffffffu, key >= 0x80000000u);
}
`;
