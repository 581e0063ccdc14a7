/** Damages safetensors files and configs in the ways that the tests of bad input need. */
import { readFileSync, writeFileSync } from 'node:fs';

/** A tensor as the header describes it. */
interface HeaderEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

export type Header = Record<string, HeaderEntry>;

/** Replaces the bytes of a file. */
export function rewrite(path: string, change: (bytes: Buffer) => Uint8Array): void {
  writeFileSync(path, change(readFileSync(path)));
}

/** Splits a safetensors file into header and values. */
export function split(bytes: Buffer): { header: Header; values: Buffer } {
  const length = Number(bytes.readBigUInt64LE());
  return { header: JSON.parse(bytes.toString('utf8', 8, 8 + length)), values: bytes.subarray(8 + length) };
}

/** A safetensors file of a header, as text or object, and values. */
export function join(header: Header | string, values: Uint8Array): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, values]);
}

/** Changes the header of a safetensors file, and may return other values. */
export function editHeader(path: string, change: (header: Header, values: Buffer) => Uint8Array | undefined): void {
  rewrite(path, (bytes) => {
    const { header, values } = split(bytes);
    return join(header, change(header, values) ?? values);
  });
}

/** Changes keys of a JSON file; undefined removes one. */
export function editJson(path: string, changes: Readonly<Record<string, unknown>>): void {
  const json = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ...json, ...changes }));
}

/** Takes a tensor and its values out of a file, so that the rest is still a sound file. */
export function removeTensor(path: string, name: string): void {
  editHeader(path, (header, values) => {
    const [begin, end] = header[name]!.data_offsets;
    delete header[name];
    for (const [other, entry] of Object.entries(header)) {
      if (other === '__metadata__' || entry.data_offsets[0] < end) continue;
      entry.data_offsets = [entry.data_offsets[0] - (end - begin), entry.data_offsets[1] - (end - begin)];
    }
    return Buffer.concat([values.subarray(0, begin), values.subarray(end)]);
  });
}

/** Adds a tensor of zeros at the end of a file. */
export function addTensor(path: string, name: string, dtype: string, shape: number[], byteLength: number): void {
  editHeader(path, (header, values) => {
    header[name] = { dtype, shape, data_offsets: [values.length, values.length + byteLength] };
    return Buffer.concat([values, Buffer.alloc(byteLength)]);
  });
}
