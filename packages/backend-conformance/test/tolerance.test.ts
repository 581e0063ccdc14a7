/** The bounds: wide enough for any arithmetic that keeps its promises, and no wider. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { type ConformanceOptions, conformanceCases, DEFAULT_TOLERANCE, WGSL_TOLERANCE } from '../src/index.ts';
import { ulp } from '../src/tolerance.ts';
import { PackingBackend } from './backends/packing.ts';
import { RoughBackend } from './backends/rough-arithmetic.ts';

/** Cases that fail, by name, with what they say. */
async function failures(options: Omit<ConformanceOptions, 'name'>): Promise<string[]> {
  const { cases } = conformanceCases({ name: 'tolerance', ...options });
  const failed: string[] = [];
  for (const { group, name, run } of cases) {
    await run().catch((error: Error) => failed.push(`${group}: ${name}: ${error.message}`));
  }
  return failed;
}

/** Groups in which something is computed. */
const COMPUTED = [
  'unary',
  'binary',
  'reduce',
  'matmul',
  'rmsNorm',
  'rotary',
  'swiglu',
  'softmax',
  'route',
  'attention',
];
const ALL_COMPUTED = [...COMPUTED, 'latentAttention', 'quantizeActivations', 'linear', 'groupedLinear', 'experts'];

describe.each([
  ['the default tolerance', DEFAULT_TOLERANCE],
  ['the tolerance of WGSL', WGSL_TOLERANCE],
] as const)('a backend as rough as %s', (_, tolerance) => {
  it.each(ALL_COMPUTED)('passes %s', async (only) => {
    expect(await failures({ create: () => new RoughBackend(tolerance), tolerance, only, numRuns: 10 })).toEqual([]);
  });
});

test('a backend as rough as WGSL does not pass as IEEE arithmetic', async () => {
  for (const only of ['unary', 'binary', 'softmax']) {
    expect(await failures({ create: () => new RoughBackend(WGSL_TOLERANCE), only, numRuns: 8 })).not.toEqual([]);
  }
});

describe.each(['bf16', 'f16', 'fp8', 'int8', 'int4'] as const)('a backend that holds all weights as %s', (format) => {
  it.each(['loadWeight', 'loadWeights', 'weightBytes', 'linear', 'groupedLinear', 'embed', 'dequantize', 'experts'])(
    'passes %s',
    async (only) => {
      expect(await failures({ create: () => new PackingBackend(format), only, numRuns: 8 })).toEqual([]);
    },
  );
});

describe.each([128, 32, Number.POSITIVE_INFINITY])('activations rounded to 8 bits in groups of %d', (group) => {
  const rounding = { levels: 127, group };
  const create = () => new PackingBackend('int8', rounding);

  it.each(['linear', 'experts', 'loadWeights'])('are tolerated by %s if the backend says so', async (only) => {
    const tolerance = { activations: { int8: rounding } };
    expect(await failures({ create, tolerance, only, numRuns: 8 })).toEqual([]);
  });

  it('are noticed if it does not', async () => {
    expect(await failures({ create, only: 'linear', numRuns: 8 })).not.toEqual([]);
  });

  it('are noticed if they are coarser than it says', async () => {
    const tolerance = { activations: { int8: { levels: 32767, group } } };
    expect(await failures({ create, tolerance, only: 'linear', numRuns: 8 })).not.toEqual([]);
  });
});

test('ulp is the distance to the next float32', () => {
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0x7f7ffffe }), (code) => {
      bits[0] = code;
      const x = float[0]!;
      bits[0] = code + 1;
      expect(ulp(x)).toBe(float[0]! - x);
      expect(ulp(-x)).toBe(float[0]! - x);
    }),
    { numRuns: 2000, examples: [[0], [1], [0x7fffff], [0x800000], [0x3f7fffff], [0x3f800000]] },
  );
});
