/**
 * The metadata of a GGUF file: values that say their own type. A reader must not lose the type, since other programs
 * refuse a key of another one, so values are kept with it and written as they were read.
 */

/** The types of metadata values, in the order of their numbers in a file; number 9 is the array. */
const SCALAR_TYPES = [
  'u8',
  'i8',
  'u16',
  'i16',
  'u32',
  'i32',
  'f32',
  'bool',
  'string',
  null,
  'u64',
  'i64',
  'f64',
] as const;

/** The type of a metadata value, or of the elements of an array. */
export type GgufScalarType = NonNullable<(typeof SCALAR_TYPES)[number]>;

/** The number in a file that says "array". */
export const ARRAY_TYPE = 9;

/** The fewest bytes that a value of each type takes: a string has at least its length. */
export const LEAST_BYTES: Readonly<Record<GgufScalarType, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  string: 8,
  u64: 8,
  i64: 8,
  f64: 8,
};

/** What a scalar is in JavaScript: 64-bit integers are `bigint`. */
export type GgufScalar<T extends GgufScalarType = GgufScalarType> = T extends 'string'
  ? string
  : T extends 'bool'
    ? boolean
    : T extends 'u64' | 'i64'
      ? bigint
      : number;

type ScalarValue = { [T in GgufScalarType]: { readonly type: T; readonly value: GgufScalar<T> } }[GgufScalarType];

type ArrayValue = {
  [T in GgufScalarType]: { readonly type: 'array'; readonly of: T; readonly value: readonly GgufScalar<T>[] };
}[GgufScalarType];

/** A metadata value with its type. Arrays hold scalars of one type; there are no arrays of arrays. */
export type GgufValue = ScalarValue | ArrayValue;

/** Metadata by key, such as `general.architecture`. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** The scalar type of a number in a file; undefined for the array and for numbers that mean nothing. */
export function scalarTypeOf(id: number): GgufScalarType | undefined {
  return SCALAR_TYPES[id] ?? undefined;
}

/** The number that says `type` in a file. */
export function idOfScalarType(type: GgufScalarType): number {
  return SCALAR_TYPES.indexOf(type);
}
