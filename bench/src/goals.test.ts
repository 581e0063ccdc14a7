import { expect, test } from 'vitest';
import { goals } from './goals.ts';
import { machine } from './machine.ts';
import { report } from './report.ts';
import { Results } from './results.ts';
import { contextName, LIMITS, LLAMA_CPP, mariana, pastName, SHAPES, shapeName } from './specs.ts';

const INT8 = mariana('int8');

/** Results with the same values in each of three rounds. */
function resultsOf(values: readonly [subject: string, threads: number, metric: string, value: number][], others = 0) {
  const results = new Results(machine());
  for (let round = 0; round < 3; round++) {
    for (const [subject, threads, metric, value] of values) {
      results.add({ subject, threads, metric, value, round, otherCores: others });
    }
  }
  return results;
}

const goal = (results: Results, start: string) => goals(results).find(({ name }) => name.startsWith(start));

test('nothing measured is no goal met', () => {
  expect(goals(resultsOf([]))).toEqual([]);
});

test('a ratio meets its goal, or misses it, or proves nothing', () => {
  const pair = (mine: number) => [
    [INT8, 1, 'decode', mine] as [string, number, string, number],
    [LLAMA_CPP, 1, 'decode', 10] as [string, number, string, number],
  ];
  expect(goal(resultsOf(pair(18)), 'decode against llama.cpp')).toMatchObject({ value: 1.8, verdict: 'met' });
  expect(goal(resultsOf(pair(17)), 'decode against llama.cpp')).toMatchObject({ value: 1.7, verdict: 'missed' });
  expect(goal(resultsOf(pair(30), 0.5), 'decode against llama.cpp')).toMatchObject({ verdict: 'disturbed' });
});

test('decoding is compared with the bare kernel by the bytes that both read', () => {
  const results = resultsOf([
    [INT8, 2, 'decode', 100],
    [LIMITS, 2, 'product', 40],
  ]);
  results.greet(INT8, 2, { loadMs: 0, about: '', weightBytes: 260e6 });
  expect(goal(results, 'decode by bare kernel')?.value).toBeCloseTo(0.65, 10);
});

test('a long past may take three times as long, not be three times as fast', () => {
  const name = contextName('bf16');
  const results = resultsOf([
    [name, 1, pastName(0), 60],
    [name, 1, pastName(32768), 15],
  ]);
  expect(goal(results, 'time at 32K')).toMatchObject({ value: 4, atLeast: false, verdict: 'missed' });
});

test('of the shapes the one in which the peer comes closest counts', () => {
  const results = resultsOf(
    SHAPES.flatMap((shape, index) => [
      [mariana('f32'), 1, shapeName(shape), 10],
      ['tfjs-wasm', 1, shapeName(shape), index === 3 ? 4 : 1],
    ]),
  );
  expect(goal(results, 'f32 products against tfjs-wasm')).toMatchObject({ value: 2.5, verdict: 'missed' });
});

test('loading is judged in seconds', () => {
  expect(goal(resultsOf([[INT8, 2, 'load', 1900]]), 'load')).toMatchObject({ value: 1.9, verdict: 'met' });
});

test('the report marks disturbed numbers, warns of them, and says what is missing', () => {
  const quiet = report(resultsOf([[INT8, 1, 'decode', 50]]));
  expect(quiet).toContain('| mariana int8 |        50.0 |');
  expect(quiet).not.toContain('Warning');

  const results = resultsOf(
    [
      [INT8, 1, 'decode', 50],
      [LLAMA_CPP, 1, 'decode', 25],
    ],
    1,
  );
  results.miss('llama.cpp', new Error('no compiler'));
  const disturbed = report(results);
  expect(disturbed).toContain('~50.0');
  expect(disturbed).toContain('disturbed, no verdict');
  expect(disturbed).toContain('Warning: other processes used the cores during 1 of the comparisons');
  expect(disturbed).toContain('- llama.cpp: no compiler');
});
