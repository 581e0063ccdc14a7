/** The published conformance suite on WebGPU in Node, with weights as they come and converted to each packed format. */
import { conformance, WGSL_TOLERANCE } from '@mariana/backend-conformance';
import { afterAll, describe, it } from 'vitest';
import { webgpu } from '../src/index.ts';

conformance(
  { name: 'webgpu', create: () => webgpu(), tolerance: WGSL_TOLERANCE, numRuns: 5 },
  { describe, it, afterAll },
);

for (const weights of ['fp8', 'int8', 'int4'] as const) {
  const create = () => webgpu({ weights });
  for (const only of ['loadWeight', 'linear', 'groupedLinear', 'embed', 'experts']) {
    const name = `webgpu with ${weights} weights`;
    conformance({ name, create, tolerance: WGSL_TOLERANCE, numRuns: 1, only }, { describe, it, afterAll });
  }
}
