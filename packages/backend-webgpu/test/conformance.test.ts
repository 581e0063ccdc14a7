/** The published conformance suite on WebGPU in Node. */
import { conformance, WGSL_TOLERANCE } from '@mariana/backend-conformance';
import { afterAll, describe, it } from 'vitest';
import { webgpu } from '../src/index.ts';
import { noGpu } from './support/gpu.ts';

describe.skipIf(noGpu !== null)('on a device', () => {
  conformance(
    { name: 'webgpu', create: () => webgpu(), tolerance: WGSL_TOLERANCE, numRuns: 10 },
    { describe, it, afterAll },
  );
});
