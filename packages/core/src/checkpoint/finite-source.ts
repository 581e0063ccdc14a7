/** Scales of a weight, which are refused where they are no numbers: one bad scale spoils a block, and then the answer. */
import { MarianaError } from '../errors.ts';
import type { ByteSource } from '../formats/source.ts';

/**
 * F32 values that must be finite. Each is looked at when it is read, so nothing is read twice for it.
 *
 * @throws MarianaError `TENSOR_INVALID` by `read`, naming the element.
 */
export function finiteSource(inner: ByteSource, name: string): ByteSource {
  return {
    name: inner.name,
    byteLength: inner.byteLength,
    async read(offset, target) {
      await inner.read(offset, target);
      const first = (4 - (offset % 4)) % 4;
      const bytes = target.subarray(first, first + ((target.byteLength - first) & ~3));
      const { value, index } = firstNotFinite(bytes) ?? {};
      if (index !== undefined) {
        const element = (offset + first) / 4 + index;
        throw new MarianaError(
          'TENSOR_INVALID',
          `${name}: element ${element}, a scale, is ${value}; the file is damaged or was quantised wrongly, fetch or convert it again`,
          { details: { tensor: name, element } },
        );
      }
    },
    close: () => inner.close(),
  };
}

/** The first of some F32 values that is infinite or NaN. There are millions, so all are added up before any is looked at. */
function firstNotFinite(bytes: Uint8Array): { value: number; index: number } | undefined {
  if (bytes.byteOffset % 4 === 0) {
    const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    let sum = 0; // of zeros, unless a value is not finite
    for (let i = 0; i < values.length; i++) sum += values[i]! * 0;
    if (sum === 0) return undefined;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let index = 0; 4 * index < bytes.byteLength; index++) {
    const value = view.getFloat32(4 * index, true);
    if (!Number.isFinite(value)) return { value, index };
  }
  return undefined;
}
