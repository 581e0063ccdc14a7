/** Weights that do not fit one WebAssembly memory go on in the next: here with memories of 24 MB instead of 4 GiB. */
import { cpu } from '@mariana/backend-cpu';
import { afterAll, describe, expect, test } from 'vitest';
import { goldenCases } from '../src/index.ts';
import { openFixture } from '../src/node.ts';

const FILLER = 4_400_000;
const FOLDERS = ['tiny-dense-moe', 'tiny-fp8', 'tiny-mtp'];

describe.each(['native', 'f32'] as const)('goldens over several memories, weights: %s', async (weights) => {
  const backend = await cpu({ threads: 2, weights, arenaBytes: 24 * 2 ** 20 });
  const { engine } = backend;
  // What is left of the first memory holds a part of a model, so that some layer is divided between the two.
  const filler = backend.denseWeight(backend.upload(new Float32Array(FILLER), [1, FILLER]));
  afterAll(() => {
    filler.dispose();
    backend.dispose();
  });

  for (const { folder, name, run } of goldenCases(openFixture)) {
    if (FOLDERS.includes(folder)) test(`${folder}: ${name}`, () => run(backend));
  }

  test('more than one memory was needed', () => {
    expect(engine.arenas.length).toBeGreaterThan(1);
  });
});
