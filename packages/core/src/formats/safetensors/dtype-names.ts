/** What safetensors calls each number format, in the order in which its writers sort tensors. */

import type { DType } from '../../dtype/dtype.ts';

/**
 * The names of the format, widest elements last: writers put tensors of the last ones first, so that each begins at a
 * multiple of its element size. (Formats of less than a byte, and complex numbers, occur in no model of this family.)
 */
const NAMES: readonly (readonly [name: string, dtype: DType])[] = [
  ['BOOL', 'bool'],
  ['U8', 'u8'],
  ['I8', 'i8'],
  ['F8_E5M2', 'e5m2'],
  ['F8_E4M3', 'e4m3'],
  ['F8_E8M0', 'e8m0'],
  ['I16', 'i16'],
  ['U16', 'u16'],
  ['F16', 'f16'],
  ['BF16', 'bf16'],
  ['I32', 'i32'],
  ['U32', 'u32'],
  ['F32', 'f32'],
  ['F64', 'f64'],
  ['I64', 'i64'],
  ['U64', 'u64'],
];

const DTYPE_OF = /* @__PURE__ */ new Map(NAMES);
const NAME_OF = /* @__PURE__ */ new Map(NAMES.map(([name, dtype]) => [dtype, name]));
const RANK_OF = /* @__PURE__ */ new Map(NAMES.map(([, dtype], rank) => [dtype, rank]));

/** The `DType` of a safetensors name such as `F8_E4M3`; undefined for a name that this reader does not know. */
export function dtypeOfName(name: string): DType | undefined {
  return DTYPE_OF.get(name);
}

/** What safetensors calls `dtype`. */
export function nameOfDType(dtype: DType): string {
  return NAME_OF.get(dtype)!;
}

/** Where `dtype` stands in the order of the format: higher ranks come first in a file. */
export function rankOfDType(dtype: DType): number {
  return RANK_OF.get(dtype)!;
}

/** Every name that `dtypeOfName` knows, for messages. */
export const SAFETENSORS_DTYPES: readonly string[] = NAMES.map(([name]) => name);
