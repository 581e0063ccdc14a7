import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesToF32, fromF32, toF32, viewAsBytes } from './convert.ts';
import { bytesPerElement, DTYPES, type DType } from './dtype.ts';
import { decodeE4m3, decodeE5m2, encodeE4m3, encodeE5m2, indexOfE4m3NaN } from './float8.ts';
import { decodeBf16, decodeF16, encodeBf16, encodeF16 } from './float16.ts';
import { allocateTensorData, FLOAT_DTYPES, TENSOR_DTYPES, type TensorDType, viewAsTensorData } from './tensor-dtype.ts';

const CODECS = {
  bf16: { codes: 65536, decode: decodeBf16, encode: encodeBf16 },
  f16: { codes: 65536, decode: decodeF16, encode: encodeF16 },
  e4m3: { codes: 256, decode: decodeE4m3, encode: encodeE4m3 },
  e5m2: { codes: 256, decode: decodeE5m2, encode: encodeE5m2 },
} as const;

const floats = fc.float32Array({ maxLength: 200 });

describe('toF32 and fromF32', () => {
  it.each(Object.entries(CODECS))('decode whole arrays of %s as single codes', (dtype, { codes, decode }) => {
    const data = viewAsTensorData(
      dtype as TensorDType,
      viewAsBytes(codes === 256 ? new Uint8Array(256).map((_, i) => i) : new Uint16Array(65536).map((_, i) => i)),
    );
    expect(toF32(dtype as TensorDType, data)).toEqual(Float32Array.from({ length: codes }, (_, code) => decode(code)));
  });

  it.each(Object.entries(CODECS))('encode whole arrays to %s as single values', (dtype, { encode }) => {
    fc.assert(
      fc.property(floats, (values) => {
        const codes = fromF32(dtype as keyof typeof CODECS, values);
        expect([...codes]).toEqual([...values].map((value) => encode(value)));
      }),
    );
  });

  it('let e5m2 overflow where asked to', () => {
    const values = Float32Array.of(1e5, -1e5, 57344);
    expect([...fromF32('e5m2', values)]).toEqual([0x7b, 0xfb, 0x7b]);
    expect([...fromF32('e5m2', values, { saturate: false })]).toEqual([0x7c, 0xfc, 0x7b]);
  });

  it('give integers their value, and f32 a copy', () => {
    expect(toF32('i32', Int32Array.of(-7, 16777217))).toEqual(Float32Array.of(-7, 16777216));
    expect(toF32('i8', Int8Array.of(-128, 127))).toEqual(Float32Array.of(-128, 127));
    expect(toF32('u8', Uint8Array.of(0, 255))).toEqual(Float32Array.of(0, 255));
    const values = Float32Array.of(1, 2);
    const copy = fromF32('f32', values);
    values[0] = 9;
    expect(copy).toEqual(Float32Array.of(1, 2));
  });

  it('write into an array that is given, a part of a larger one too, and refuse one of another length', () => {
    const shared = new Float32Array(new SharedArrayBuffer(16));
    const values = toF32('e4m3', Uint8Array.of(0x38, 0xc0), shared.subarray(1, 3));
    expect(values.buffer).toBe(shared.buffer);
    expect(shared).toEqual(new Float32Array(Float32Array.of(0, 1, -2, 0)));
    const codes = new Uint16Array(4);
    fromF32('bf16', Float32Array.of(1, 2), { out: codes.subarray(2) });
    expect([...codes]).toEqual([0, 0, 0x3f80, 0x4000]);
    expect(() => toF32('u8', new Uint8Array(2), new Float32Array(3))).toThrow(/3 elements, 2 are needed/);
    expect(() => fromF32('e4m3', new Float32Array(2), { out: new Uint8Array(1) })).toThrow(/1 elements, 2 are needed/);
  });

  it('give back what a format can hold', () => {
    for (const dtype of FLOAT_DTYPES) {
      const values = Float32Array.of(0, 1, -1.5, 448, 0.015625);
      expect(toF32(dtype, fromF32(dtype, values))).toEqual(values);
    }
  });
});

describe('bytesToF32', () => {
  const view = new DataView(new ArrayBuffer(8));
  const examples: Record<DType, readonly [bytes: readonly number[], value: number]> = {
    f64: [bytesOf(() => view.setFloat64(0, 0.1, true), 8), Math.fround(0.1)],
    f32: [bytesOf(() => view.setFloat32(0, -0.1, true), 4), Math.fround(-0.1)],
    f16: [[0x00, 0x3e], 1.5],
    bf16: [[0xc0, 0xbf], -1.5],
    e4m3: [[0x7e], 448],
    e5m2: [[0xfb], -57344],
    e8m0: [[130], 8],
    i64: [bytesOf(() => view.setBigInt64(0, -12345678n, true), 8), -12345678],
    u64: [bytesOf(() => view.setBigUint64(0, 2n ** 63n, true), 8), 2 ** 63],
    i32: [[0xfe, 0xff, 0xff, 0xff], -2],
    u32: [[0xfe, 0xff, 0xff, 0xff], 2 ** 32],
    i16: [[0xfe, 0xff], -2],
    u16: [[0xfe, 0xff], 65534],
    i8: [[0xfe], -2],
    u8: [[0xfe], 254],
    bool: [[7], 1],
  };

  function bytesOf(write: () => void, length: number): number[] {
    write();
    return [...new Uint8Array(view.buffer, 0, length)];
  }

  it.each(DTYPES)('reads %s, at an odd place too', (dtype) => {
    const [bytes, value] = examples[dtype];
    expect(bytes).toHaveLength(bytesPerElement(dtype));
    for (const before of [0, 1, 3]) {
      const padded = Uint8Array.from([...new Array(before).fill(0), ...bytes, ...bytes]).subarray(before);
      expect(bytesToF32(dtype, padded)).toEqual(Float32Array.of(value, value));
    }
    expect(bytesToF32(dtype, new Uint8Array(0))).toEqual(new Float32Array(0));
  });

  it('refuses half an element', () => {
    expect(() => bytesToF32('f32', new Uint8Array(7))).toThrow(
      expect.objectContaining({ code: 'SHAPE_MISMATCH', message: expect.stringContaining('7 bytes') }),
    );
  });
});

describe('typed arrays of tensors', () => {
  it.each(TENSOR_DTYPES)('hold %s in elements of its size', (dtype) => {
    const data = allocateTensorData(dtype, 3);
    expect(data.BYTES_PER_ELEMENT).toBe(bytesPerElement(dtype));
    expect([...toF32(dtype, data)]).toEqual([0, 0, 0]);
  });

  it('share memory where they can and copy where they cannot', () => {
    const bytes = new Uint8Array(12);
    expect(viewAsTensorData('f32', bytes.subarray(4)).buffer).toBe(bytes.buffer);
    bytes.set([0, 0, 0x80, 0x3f], 5);
    expect([...viewAsTensorData('f32', bytes.subarray(5, 9))]).toEqual([1]);
  });
});

describe('indexOfE4m3NaN', () => {
  it('finds the first NaN of either sign', () => {
    expect(indexOfE4m3NaN(Uint8Array.of(0, 0x7e, 0xff, 0x7f))).toBe(2);
    expect(indexOfE4m3NaN(Uint8Array.from({ length: 127 }, (_, i) => i))).toBe(-1);
  });
});
