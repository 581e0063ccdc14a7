/** The most probable tokens of a row of logits, and what the sampler needs to know of the others. */
import fc from 'fast-check';
import { axis, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { ConformanceError } from '../conformance-error.ts';
import { randomFrom, reals } from '../random.ts';
import type { Workbench } from '../workbench.ts';

/** How far off a sum over a row may be, of itself. */
const SUM_ERROR = 2 ** -12;

/** The order that is promised, for rows without NaN. */
function ranked(row: Float32Array): number[] {
  return Array.from(row.keys()).sort((a, b) => (row[a] === row[b] ? a - b : row[b]! > row[a]! ? 1 : -1));
}

async function expectCandidates(bench: Workbench, row: Float32Array, k: number, temperature: number): Promise<void> {
  const logits = bench.tensor(row, [1, row.length]);
  const best = await bench.backend.candidates(logits, k, temperature);
  const fail = (problem: string) => {
    throw new ConformanceError('candidates', `${problem} (k ${k}, temperature ${temperature})`, {
      operands: [`${logits}`],
    });
  };
  const expected = ranked(row).slice(0, k);
  if (`${[...best.ids]}` !== `${expected}`) fail(`gave tokens ${[...best.ids]}, not ${expected}`);
  for (const [i, id] of expected.entries()) {
    if (!Object.is(best.logits[i], row[id])) fail(`gave logit ${best.logits[i]} for token ${id}, not ${row[id]}`);
  }
  const top = row[expected[0]!]!;
  for (const [name, divisor] of [
    ['logSumExp', 1],
    ['scaledLogSumExp', temperature],
  ] as const) {
    const sum = row.reduce((total, logit) => total + Math.exp((logit - top) / divisor), 0);
    const exact = top / divisor + Math.log(sum);
    const bound = SUM_ERROR + 2 ** -22 * Math.abs(exact);
    if (!(Math.abs(best[name] - exact) <= bound)) fail(`gave ${best[name]} for ${name}, not ${exact}`);
  }
}

export const candidateCases: readonly CaseDefinition[] = [
  property(
    'candidates',
    'are the largest of a row, best first, with the sums of its exponentials',
    {
      arbitrary: fc.record({
        width: axis(3000, 1),
        k: fc.nat(),
        temperature: fc.constantFrom(0.01, 0.3, 0.6, 1, 2),
        scale: fc.constantFrom(0.1, 3, 40),
        seed: valueSeed,
      }),
      examples: [
        { width: 1, k: 0, temperature: 1, scale: 3, seed: 1 },
        { width: 5000, k: 39, temperature: 0.6, scale: 3, seed: 2 },
        { width: 1024, k: 1023, temperature: 1, scale: 40, seed: 3 },
      ],
    },
    async (bench, { width, k, temperature, scale, seed }) => {
      const row = reals(randomFrom(seed), width).map((value) => value * scale);
      await expectCandidates(bench, row, 1 + (k % Math.min(width, 1024)), temperature);
    },
  ),

  example('candidates', 'put the lower id first where logits are equal, and take minus infinity', async (bench) => {
    await expectCandidates(bench, Float32Array.of(1, 3, 3, -0, 0, Number.NEGATIVE_INFINITY, 3), 7, 0.5);
    await expectCandidates(bench, new Float32Array(300).fill(-7), 5, 1);
  }),

  example('candidates', 'show what is not finite, first', async (bench) => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const row = new Float32Array(70).fill(1);
      row[65] = bad;
      const { ids, logits, logSumExp, scaledLogSumExp } = await bench.backend.candidates(bench.tensor(row, [70]), 2);
      if (ids[0] === 65 && Object.is(logits[0], bad) && Number.isNaN(logSumExp + scaledLogSumExp)) continue;
      const got = `${ids}, ${logits} and sums ${logSumExp} and ${scaledLogSumExp}`;
      throw new ConformanceError('candidates', `with ${bad} at 65, gave ${got}`, { operands: ['f32 [70]'] });
    }
  }),

  example('candidates', 'refuses more than one row, and what no k or temperature is', async (bench) => {
    const { backend } = bench;
    const row = bench.tensor(new Float32Array(6), [6]);
    const rows = bench.tensor(new Float32Array(6), [2, 3]);
    await bench.refuses('two rows', 'SHAPE_MISMATCH', () => backend.candidates(rows, 1));
    for (const k of [0, 7, 1.5, Number.NaN]) {
      await bench.refuses(`k ${k}`, 'INVALID_ARGUMENT', () => backend.candidates(row, k));
    }
    for (const temperature of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      const call = () => backend.candidates(row, 1, temperature);
      await bench.refuses(`temperature ${temperature}`, 'INVALID_ARGUMENT', call);
    }
  }),
];
