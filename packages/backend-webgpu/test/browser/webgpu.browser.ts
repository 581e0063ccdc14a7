/** The conformance suite and the goldens on a page, on the GPU that the browser gives it. */
import { conformance, WGSL_TOLERANCE } from '@mariana/backend-conformance';
import { MemoryFiles, readBytes, UrlFiles } from '@mariana/core';
import { goldenCases } from '@mariana/goldens';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { type WebGpuBackend, webgpu } from '../../src/index.ts';

// Backends share a device as long as one of them is alive, and with it the kernels that it has compiled.
let backend: WebGpuBackend;
beforeAll(async () => {
  backend = await webgpu();
});
afterAll(() => backend.dispose());

conformance(
  { name: 'webgpu', create: () => webgpu(), tolerance: WGSL_TOLERANCE, numRuns: 1 },
  { describe, it, afterAll },
);

describe('goldens on webgpu in Chromium', () => {
  for (const { folder, name, run } of goldenCases(openFolder)) {
    test(`${folder}: ${name}`, async () => {
      await run(backend);
      expect(backend.memory()).toEqual({ tensors: 0, bytes: 0 });
    });
  }
});

const FILES = [
  'config.json',
  'expected.safetensors',
  'model.safetensors',
  'model.safetensors.index.json',
  'model-00001-of-000002.safetensors',
  'model-00002-of-000002.safetensors',
];
const folders = new Map<string, Promise<MemoryFiles>>();

/** A folder of goldens, fetched whole and once: its small tensors would cost a request each, again for every test. */
function openFolder(folder: string): Promise<MemoryFiles> {
  const files = folders.get(folder) ?? fetchFolder(folder);
  folders.set(folder, files);
  return files;
}

async function fetchFolder(folder: string): Promise<MemoryFiles> {
  const remote = new UrlFiles(new URL(`/${folder}/`, location.href));
  const contents: Record<string, Uint8Array> = {};
  for (const file of FILES) {
    if (!(await remote.exists(file))) continue;
    const source = await remote.open(file);
    contents[file] = await readBytes(source);
    await source.close();
  }
  return new MemoryFiles(contents, remote.name);
}
