/** The goldens of the original implementations, on the engines of tfjs that need no device. */
import { goldenCases } from '@mariana/goldens';
import { openFixture } from '@mariana/goldens/node';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import { beforeAll, describe, expect, test } from 'vitest';
import { type TfjsBackend, tfjs } from '../src/index.ts';

describe.each(['cpu', 'wasm'] as const)('goldens on tfjs-%s', (engine) => {
  let backend: TfjsBackend<tf.Tensor>;
  let baseline: number;

  beforeAll(async () => {
    backend = await tfjs({ tf, engine });
    baseline = tf.memory().numTensors;
  });

  for (const { folder, name, run } of goldenCases(openFixture)) {
    test(`${folder}: ${name}`, async () => {
      await run(backend);
      expect(tf.memory().numTensors).toBe(baseline);
    });
  }
});
