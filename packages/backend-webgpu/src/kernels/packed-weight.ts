/**
 * How weights lie in GPU memory. A matrix [out, in] is its rows, one after the other, each padded with zeros to whole
 * 16-byte vectors (`vec4<u32>`), so that a row starts on a vector and one load brings 16 or 32 codes. Codes follow the
 * inputs from the low bits up: byte j of a vector is input 16 v + j; nibble j is input 32 v + j, low nibble first.
 *
 * - `fp8`: E4M3 codes; scales F32 [ceil(out / blockRows), ceil(in / blockColumns)].
 * - `int8`: signed bytes; scales F32 [out, ceil(in / groupSize)].
 * - `int4`: nibbles, value = (nibble - 8) * scale; the padding is nibble 8. Scales as for `int8`.
 *
 * A scale's columns (`blockColumns`, `groupSize`) are a multiple of the codes in a vector, so one vector has one scale.
 * Weights of other groupings are held as F32.
 *
 * The experts of a layer are one such matrix: those of expert e are rows e * out to (e + 1) * out, and where `out` is
 * no multiple of `blockRows` each expert still starts a block of its own, at scale row e * ceil(out / blockRows).
 */

/** Formats with codes that kernels read from vectors. */
export type PackedFormat = 'fp8' | 'int8' | 'int4';

/** Codes in a 16-byte vector. */
export const CODES_PER_VECTOR: Readonly<Record<PackedFormat, number>> = { fp8: 16, int8: 16, int4: 32 };

/**
 * WGSL: `fn decode_fp8(codes: u32) -> vec4<f32>`, the values of four E4M3 codes, low byte first; exact for all finite
 * codes and signed zero. The bits of a code, moved under an F32's exponent, are its value times 2^-120; subnormals
 * would be lost to devices that flush them, so those (of both signs) are made from their integers.
 */
export const DECODE_FP8 = /* wgsl */ `
fn decode_fp8(codes: u32) -> vec4<f32> {
  let bytes = (vec4<u32>(codes) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu);
  let magnitude = bytes & vec4<u32>(0x7fu);
  let sign = (bytes & vec4<u32>(0x80u)) << vec4<u32>(24u);
  let normal = (magnitude << vec4<u32>(20u)) + vec4<u32>(120u << 23u);
  let small = bitcast<vec4<u32>>(vec4<f32>(magnitude) * 0.001953125);
  return bitcast<vec4<f32>>(select(normal, small, magnitude < vec4<u32>(8u)) | sign);
}
`;

/** WGSL: `fn decode_int8(codes: u32) -> vec4<f32>`, the values of four signed bytes, low byte first. */
export const DECODE_INT8 = /* wgsl */ `
fn decode_int8(codes: u32) -> vec4<f32> {
  let shifted = vec4<u32>(codes) << vec4<u32>(24u, 16u, 8u, 0u);
  return vec4<f32>(bitcast<vec4<i32>>(shifted) >> vec4<u32>(24u));
}
`;

/** WGSL: `fn decode_int4(codes: u32) -> vec4<f32>`, the values of the four low nibbles, lowest first. */
export const DECODE_INT4 = /* wgsl */ `
fn decode_int4(codes: u32) -> vec4<f32> {
  let nibbles = (vec4<u32>(codes) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(0xfu);
  return vec4<f32>(nibbles) - 8.0;
}
`;
