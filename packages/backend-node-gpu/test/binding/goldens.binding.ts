/** The goldens of the original implementations on TensorFlow's C library, and that they leave nothing behind. */
import { goldenCases } from '@mariana/goldens';
import { openFixture } from '@mariana/goldens/node';
import { beforeAll, describe, expect, test } from 'vitest';
import { type NodeGpuBackend, nodeGpu } from '../../src/index.ts';

describe('goldens on node-gpu', () => {
  let backend: NodeGpuBackend;

  beforeAll(async () => {
    backend = await nodeGpu({ allowCpu: true });
  });

  for (const { folder, name, run } of goldenCases(openFixture)) {
    test(`${folder}: ${name}`, async () => {
      const before = backend.memory();
      await run(backend);
      expect(backend.memory()).toEqual(before);
    });
  }
});
