/** The published conformance suite on tfjs-wasm. */
import { conformance } from '@mariana/backend-conformance';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import { afterAll, describe, it } from 'vitest';
import { CAUTIOUS, TfjsBackend, tfjs } from '../src/index.ts';

conformance({ name: 'tfjs-wasm', create: () => tfjs({ tf, engine: 'wasm' }) }, { describe, it, afterAll });

conformance(
  {
    numRuns: 5,
    name: 'tfjs-wasm, trusted with nothing,',
    create: async () => {
      await tf.setBackend('wasm');
      return new TfjsBackend<tf.Tensor>(tf, 'wasm', { ...CAUTIOUS, integersExact: true });
    },
  },
  { describe, it, afterAll },
);
