/**
 * The tensor types of GGUF files: their numbers, names and sizes. Every type that is in use has its size here, so that
 * a file can be checked and listed whatever it holds; only some can be decoded.
 */

import type { BlockFormat } from '../../dtype/block-formats.ts';
import type { DType } from '../../dtype/dtype.ts';

/** [number, name, values in a block, bytes of a block, what it decodes as], as in ggml's own table of types. */
const TABLE = [
  [0, 'F32', 1, 4, 'f32'],
  [1, 'F16', 1, 2, 'f16'],
  [2, 'Q4_0', 32, 18, 'q4_0'],
  [3, 'Q4_1', 32, 20, 'q4_1'],
  [6, 'Q5_0', 32, 22, 'q5_0'],
  [7, 'Q5_1', 32, 24, 'q5_1'],
  [8, 'Q8_0', 32, 34, 'q8_0'],
  [9, 'Q8_1', 32, 36, null],
  [10, 'Q2_K', 256, 84, null],
  [11, 'Q3_K', 256, 110, null],
  [12, 'Q4_K', 256, 144, 'q4_k'],
  [13, 'Q5_K', 256, 176, 'q5_k'],
  [14, 'Q6_K', 256, 210, 'q6_k'],
  [15, 'Q8_K', 256, 292, null],
  [16, 'IQ2_XXS', 256, 66, null],
  [17, 'IQ2_XS', 256, 74, null],
  [18, 'IQ3_XXS', 256, 98, null],
  [19, 'IQ1_S', 256, 50, null],
  [20, 'IQ4_NL', 32, 18, null],
  [21, 'IQ3_S', 256, 110, null],
  [22, 'IQ2_S', 256, 82, null],
  [23, 'IQ4_XS', 256, 136, null],
  [24, 'I8', 1, 1, 'i8'],
  [25, 'I16', 1, 2, 'i16'],
  [26, 'I32', 1, 4, 'i32'],
  [27, 'I64', 1, 8, 'i64'],
  [28, 'F64', 1, 8, 'f64'],
  [29, 'IQ1_M', 256, 56, null],
  [30, 'BF16', 1, 2, 'bf16'],
  [34, 'TQ1_0', 256, 54, null],
  [35, 'TQ2_0', 256, 66, null],
  [39, 'MXFP4', 32, 17, null],
  [40, 'NVFP4', 64, 36, null],
  [41, 'Q1_0', 128, 18, null],
  [42, 'Q2_0', 64, 18, null],
] as const satisfies readonly (readonly [number, string, number, number, DType | BlockFormat | null])[];

/** The name of a tensor type, as ggml has it: `Q4_K`. */
export type GgmlTypeName = (typeof TABLE)[number][1];

/** A tensor type of a GGUF file. */
export interface GgmlType {
  /** Its number in a file. */
  readonly id: number;
  readonly name: GgmlTypeName;
  /** Values in a block; 1 for dense types. */
  readonly blockValues: number;
  /** Bytes of a block. */
  readonly blockBytes: number;
  /** The number format or block format that it is; null for types that Mariana cannot decode. */
  readonly format: DType | BlockFormat | null;
}

const TYPES: readonly GgmlType[] = TABLE.map(([id, name, blockValues, blockBytes, format]) =>
  Object.freeze({ id, name, blockValues, blockBytes, format }),
);

const BY_ID = /* @__PURE__ */ new Map(TYPES.map((type) => [type.id, type]));
const BY_NAME = /* @__PURE__ */ new Map(TYPES.map((type) => [type.name, type]));

/** The type of a number; undefined for one that is not in use. */
export function ggmlTypeOf(id: number): GgmlType | undefined {
  return BY_ID.get(id);
}

/** The type of a name. */
export function ggmlType(name: GgmlTypeName): GgmlType {
  return BY_NAME.get(name)!;
}

/** The names of the types that can be decoded, for messages. */
export const DECODABLE_TYPES: readonly GgmlTypeName[] = TYPES.filter(({ format }) => format !== null).map(
  ({ name }) => name,
);
