import { expect, test } from 'vitest';
import { GROUPS, parseOptions } from './options.ts';

test('measures everything unless told otherwise', () => {
  expect(parseOptions([])).toMatchObject({ groups: GROUPS, subject: '', repeats: 7, threads: [1, 2], peers: true });
  expect(parseOptions(['--', '--quick'])).toMatchObject({ quick: true, repeats: 2 });
});

test('--only takes groups and one subject', () => {
  expect(parseOptions(['--only', 'load,llama', '--threads', '2'])).toMatchObject({
    groups: ['load'],
    subject: 'llama',
    threads: [2],
  });
  expect(() => parseOptions(['--only', 'llama,tfjs'])).toThrow(/one subject at a time/);
});

test('refuses what is no number, and options that do not exist', () => {
  expect(() => parseOptions(['--repeats', '0'])).toThrow('--repeats: 0 is not a whole number from 1 up');
  expect(() => parseOptions(['--threads', '1,two'])).toThrow(/--threads: two/);
  expect(() => parseOptions(['--fast'])).toThrow(/--fast/);
  expect(parseOptions(['--help'])).toBeNull();
});
