/** Loading takes the memory of the weights as they are held, and hardly more: what is read goes straight to its place. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { configToJson, expectedTensors, type ModelConfig, preset } from '@mariana/core';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** What a loader may need besides: rows on their way, compiled code, the names of the tensors. */
const SLACK = 40 * 2 ** 20;
const PROGRAM = fileURLToPath(new URL('./support/load-and-tell-memory.ts', import.meta.url));

/** The large model of the benchmarks with two of its layers: 130 million weights. */
const config: ModelConfig = { ...preset('bench-1b'), numHiddenLayers: 2, numNextnPredictLayers: 0 };

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mariana-load-memory-'));
});

afterAll(() => rm(folder, { recursive: true }));

/** A checkpoint of zeros, which takes no room on the disk: its values are a hole in the file. */
async function writeZeros(name: string, isInteger: boolean): Promise<string> {
  const path = join(folder, name);
  const quantization = isInteger
    ? { quantization_config: { quant_method: 'mariana', format: 'int8', group_size: 128 } }
    : {};
  const header: Record<string, object> = {};
  let end = 0;
  const add = (tensor: string, dtype: string, shape: readonly number[], bytes: number) => {
    const size = shape.reduce((a, b) => a * b, bytes);
    header[tensor] = { dtype, shape, data_offsets: [end, end + size] };
    end += size;
  };
  for (const { name: tensor, shape, kind } of expectedTensors(config)) {
    const [rows, columns] = shape;
    if (isInteger && columns !== undefined && kind !== 'embedding' && kind !== 'router') {
      add(tensor, 'I8', shape, 1);
      add(`${tensor}_scale`, 'F32', [rows!, Math.ceil(columns / 128)], 4);
    } else add(tensor, 'BF16', shape, 2);
  }
  const text = new TextEncoder().encode(JSON.stringify(header).padEnd(8 * 2 ** 17));
  await mkdir(path);
  await writeFile(join(path, 'config.json'), JSON.stringify({ ...configToJson(config), ...quantization }));
  const file = await open(join(path, 'model.safetensors'), 'w');
  await file.write(new Uint8Array(BigUint64Array.of(BigInt(text.byteLength)).buffer));
  await file.write(text);
  await file.truncate(8 + text.byteLength + end);
  await file.close();
  return path;
}

async function load(path: string, weights: string): Promise<{ grown: number; held: number }> {
  const args = ['--conditions=@mariana/source', PROGRAM, path, weights];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout);
}

test.each([
  ['INT8 as it is', true, 'native'],
  ['BF16 to INT8', false, 'int8'],
])(
  '%s',
  async (name, isInteger, weights) => {
    const { grown, held } = await load(await writeZeros(name, isInteger), weights);
    expect(held).toBeGreaterThan(120e6);
    expect(grown).toBeLessThan(1.15 * held + SLACK);
    expect(grown).toBeGreaterThan(0.9 * held); // else nothing was measured
  },
  120_000,
);
