/** The goldens of the original implementations, on WebGPU in Node. */
import { goldenCases } from '@mariana/goldens';
import { openFixture } from '@mariana/goldens/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type WebGpuBackend, webgpu } from '../src/index.ts';

describe('goldens on webgpu', () => {
  let backend: WebGpuBackend;
  beforeAll(async () => {
    backend = await webgpu();
  });
  afterAll(() => backend.dispose());

  for (const { folder, name, run } of goldenCases(openFixture)) {
    test(`${folder}: ${name}`, async () => {
      await run(backend);
      expect(backend.memory()).toEqual({ tensors: 0, bytes: 0 });
    });
  }
});
