/** The published conformance suite on tfjs-cpu. */
import { conformance } from '@mariana/backend-conformance';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { afterAll, describe, it } from 'vitest';
import { CAUTIOUS, TfjsBackend, tfjs } from '../src/index.ts';

conformance({ name: 'tfjs-cpu', create: () => tfjs({ tf, engine: 'cpu' }) }, { describe, it, afterAll });

conformance(
  {
    numRuns: 5,
    name: 'tfjs-cpu, trusted with nothing,',
    create: async () => {
      await tf.setBackend('cpu');
      return new TfjsBackend<tf.Tensor>(tf, 'cpu', { ...CAUTIOUS, integersExact: true });
    },
  },
  { describe, it, afterAll },
);
