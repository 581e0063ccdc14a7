/**
 * The published conformance suite on WebGPU in Node, with weights as they come and converted to each packed format.
 *
 * Nearly all of its time goes into compiling kernels, of which each shape of a random run may need another: `MARIANA_RUNS`
 * sets how many a property gets, by default one.
 */
import { conformance, WGSL_TOLERANCE } from '@mariana/backend-conformance';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { type WebGpuBackend, webgpu } from '../src/index.ts';

const numRuns = Number(process.env.MARIANA_RUNS ?? 1);

// Backends share a device as long as one of them is alive, and with it the kernels that it has compiled.
let first: WebGpuBackend;
beforeAll(async () => {
  first = await webgpu();
});
afterAll(() => first.dispose());

conformance({ name: 'webgpu', create: () => webgpu(), tolerance: WGSL_TOLERANCE, numRuns }, { describe, it, afterAll });

for (const weights of ['fp8', 'int8', 'int4'] as const) {
  const create = () => webgpu({ weights });
  for (const only of ['loadWeight', 'linear', 'groupedLinear', 'embed', 'experts']) {
    const name = `webgpu with ${weights} weights`;
    conformance({ name, create, tolerance: WGSL_TOLERANCE, numRuns, only }, { describe, it, afterAll });
  }
}
