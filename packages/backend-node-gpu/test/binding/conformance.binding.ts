/**
 * The published conformance suite on TensorFlow's C library, which promises a little less than IEEE 754 and a careful
 * library: on the CPU it sets its threads to flush subnormal numbers to zero, and the logarithm of its vectorised
 * mathematics (Eigen's) was measured 2.04 ulps off; `log2` multiplies that by a constant, and rounds twice more.
 */
import { conformance } from '@mariana/backend-conformance';
import { afterAll, describe, it } from 'vitest';
import { nodeGpu } from '../../src/index.ts';

conformance(
  {
    name: 'node-gpu',
    create: () => nodeGpu({ allowCpu: true }),
    tolerance: { subnormals: 'flushed', unary: { log: 3, log2: 4 } },
  },
  { describe, it, afterAll },
);
