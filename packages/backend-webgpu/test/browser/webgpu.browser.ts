/** The conformance suite and goldens on a page, on the GPU that the browser gives it. */
import { conformance, WGSL_TOLERANCE } from '@mariana/backend-conformance';
import { UrlFiles } from '@mariana/core';
import { goldenCases } from '@mariana/goldens';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { type WebGpuBackend, webgpu } from '../../src/index.ts';

conformance(
  { name: 'webgpu', create: () => webgpu(), tolerance: WGSL_TOLERANCE, numRuns: 1 },
  { describe, it, afterAll },
);

describe('goldens on webgpu in Chromium', () => {
  let backend: WebGpuBackend;
  beforeAll(async () => {
    backend = await webgpu();
  });
  afterAll(() => backend.dispose());

  const folders = new Set(['tiny-dense-moe', 'tiny-fp8']);
  const open = async (folder: string) => new UrlFiles(new URL(`/${folder}/`, location.href));
  for (const { folder, name, run } of goldenCases(open)) {
    if (!folders.has(folder)) continue;
    test(`${folder}: ${name}`, async () => {
      await run(backend);
      expect(backend.memory()).toEqual({ tensors: 0, bytes: 0 });
    });
  }
});
