import { conformance } from '@mariana/backend-conformance';
import { afterAll, describe, it } from 'vitest';
import { type CpuOptions, cpu } from '../src/index.ts';
import { canWiden } from '../src/wasm/test-kit.ts';

/** Activations meet integer weights in 8 bits, with a scale for each 128. */
const ACTIVATIONS = { int8: { levels: 127, group: 128 }, int4: { levels: 127, group: 128 } };

const SETUPS: Record<string, CpuOptions> = {
  'cpu, 1 thread': { threads: 1 },
  'cpu, 2 threads': { threads: 2 },
  'cpu, plain SIMD': { build: 'simd', threads: 2 },
  'cpu, scalar': { build: 'scalar', threads: 2 },
  'cpu, weights held as INT8': { weights: 'int8', threads: 2 },
  'cpu, weights held as INT4': { weights: 'int4', threads: 2 },
  'cpu, weights held as FP8': { weights: 'fp8', threads: 1 },
  'cpu, memory that is not shared': { shared: false, threads: 1 },
  // Last, since the flag that this sets holds for all that is compiled after it.
  ...(canWiden() ? { 'cpu, 256-bit vectors': { wideVectors: true, threads: 2 } } : {}),
};

for (const [name, options] of Object.entries(SETUPS)) {
  conformance(
    { name, create: () => cpu(options), numRuns: 30, tolerance: { activations: ACTIVATIONS } },
    { describe, it, afterAll },
  );
}
