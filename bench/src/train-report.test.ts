import { expect, test } from 'vitest';
import { goals } from './goals.ts';
import { machine } from './machine.ts';
import { parseOptions } from './options.ts';
import { report } from './report.ts';
import { Results } from './results.ts';
import { marianaTraining, PYTORCH, SQUARE, TRAIN, TRANSFORMERS, trainSpecs } from './train-specs.ts';

const F32 = marianaTraining('f32');

/** A run of three rounds: speeds in tokens a second, peaks in G operations a second. */
function measured({ otherLoss = 7.5 } = {}) {
  const results = new Results(machine());
  const values: [string, string, number][] = [
    [F32, TRAIN, 1200],
    [TRANSFORMERS, TRAIN, 800],
    [PYTORCH, TRAIN, 1500],
    [F32, SQUARE, 40],
    [PYTORCH, SQUARE, 100],
  ];
  for (let round = 0; round < 3; round++) {
    for (const [subject, metric, value] of values) {
      results.add({ subject, threads: 1, metric, value, round, otherCores: 0 });
    }
  }
  const greeting = { loadMs: 1, about: '' };
  results.greet(F32, 1, { ...greeting, loss: 7.5, mtpLoss: 7.6, flopsPerToken: 1e7 });
  results.greet(PYTORCH, 1, { ...greeting, loss: otherLoss, mtpLoss: 7.6 });
  return results;
}

test('speeds are shown with their share of the peaks: 1200 tokens of 10 M operations are 12 G of 40 and of 100', () => {
  const row = report(measured())
    .split('\n')
    .find((line) => line.startsWith(`| ${F32}, 1 t`));
  expect(row?.split('|').map((cell) => cell.trim())).toEqual([
    '',
    `${F32}, 1 t`,
    '1200',
    '12.0',
    '30.0 %',
    '12.0 %',
    '7.5000',
    '7.6000',
    '',
  ]);
});

test('each peer is a goal of its own', () => {
  const found = goals(measured()).filter(({ name }) => name.startsWith('training'));
  expect(found.map(({ name, value, verdict }) => [name, value, verdict])).toEqual([
    ['training against transformers, 1 t', 1.5, 'met'],
    ['training against lean PyTorch, 1 t', 0.8, 'missed'],
  ]);
});

test('losses that are not those of Mariana are told', () => {
  expect(report(measured())).not.toContain('not the same computation');
  expect(report(measured({ otherLoss: 7.502 }))).toContain(`loss of ${PYTORCH} is 7.502, of ${F32} 7.5`);
});

test('without training there is no table of it', () => {
  expect(report(new Results(machine()))).not.toContain('Training');
});

test('without PyTorch Mariana is measured alone', () => {
  const options = parseOptions(['--quick'])!;
  const names = (torch: string | undefined) =>
    trainSpecs({ options, folder: 'x', torch }).map(({ name, threads }) => `${name} ${threads}`);
  expect(names(undefined)).toHaveLength(6);
  expect(names('python')).toContain(`${PYTORCH} 2`);
});
