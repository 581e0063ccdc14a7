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
      const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
      for (let at = (4 - (offset % 4)) % 4; at + 4 <= target.byteLength; at += 4) {
        const value = view.getFloat32(at, true);
        if (Number.isFinite(value)) continue;
        const element = (offset + at) / 4;
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
