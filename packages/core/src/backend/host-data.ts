/** Helpers for backends that meet tensor values on the host: which dtype an array has, and how dtypes convert. */
import { allocateTensorData, fromF32, isFloatDType, type TensorData, type TensorDType, toF32 } from '../dtype/index.ts';
import { MarianaError } from '../errors.ts';

/**
 * The dtype of host values: as said, if the array can carry it, else the one that the array type stands for.
 *
 * @throws MarianaError `DTYPE_MISMATCH` if the array type does not carry `dtype`, or needs it said (Uint16Array).
 */
export function dtypeOfData(data: TensorData, dtype?: TensorDType): TensorDType {
  const implied = dtype ?? IMPLIED_DTYPE.get(data.constructor);
  if (implied !== undefined && data.constructor === allocateTensorData(implied, 0).constructor) return implied;
  throw new MarianaError(
    'DTYPE_MISMATCH',
    dtype === undefined
      ? `upload: a ${data.constructor.name} may hold several dtypes; say which`
      : `upload: a ${data.constructor.name} does not hold ${dtype} values`,
  );
}

const IMPLIED_DTYPE = /* @__PURE__ */ new Map<unknown, TensorDType>([
  [Float32Array, 'f32'],
  [Int32Array, 'i32'],
  [Int8Array, 'i8'],
  [Uint8Array, 'u8'],
]);

/** Values of one dtype as another, by way of F32: the meaning of `Backend.cast`. The result may share `data`. */
export function castData(data: TensorData, from: TensorDType, to: TensorDType): TensorData {
  if (from === to) return data;
  const values = toF32(from, data);
  if (isFloatDType(to)) return fromF32(to, values);
  const out = allocateTensorData(to, values.length);
  const [low, high] = INTEGER_RANGE[to];
  for (let i = 0; i < out.length; i++) out[i] = Math.min(Math.max(Math.trunc(values[i]!), low), high);
  return out;
}

/** Integers saturate, NaN becomes 0 (as typed arrays store it). */
const INTEGER_RANGE = { i32: [-(2 ** 31), 2 ** 31 - 1], i8: [-128, 127], u8: [0, 255] } as const;
