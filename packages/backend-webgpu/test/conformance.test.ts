/**
 * The published conformance suite on WebGPU in Node, with weights as they come and converted to each packed format.
 *
 * A driver in software compiles every shader for minutes: `MARIANA_RUNS` sets how many random runs a property gets, and
 * one is what there is time for where nobody says.
 */
import { conformance, WGSL_TOLERANCE } from '@mariana/backend-conformance';
import { afterAll, describe, it } from 'vitest';
import { webgpu } from '../src/index.ts';

const numRuns = Number(process.env.MARIANA_RUNS ?? 1);

conformance({ name: 'webgpu', create: () => webgpu(), tolerance: WGSL_TOLERANCE, numRuns }, { describe, it, afterAll });

for (const weights of ['fp8', 'int8', 'int4'] as const) {
  const create = () => webgpu({ weights });
  for (const only of ['loadWeight', 'linear', 'groupedLinear', 'embed', 'experts']) {
    const name = `webgpu with ${weights} weights`;
    conformance({ name, create, tolerance: WGSL_TOLERANCE, numRuns, only }, { describe, it, afterAll });
  }
}
