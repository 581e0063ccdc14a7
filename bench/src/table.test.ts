import { expect, test } from 'vitest';
import { digits, table } from './table.ts';

test('columns are as wide as their widest cell, and numbers stand to the right', () => {
  const rows = [
    ['who', 'tokens/s', 'MB'],
    ['mariana int8', '12.3', '1300'],
    ['peer', '5'],
  ];
  expect(table(rows)).toBe(
    [
      '| who          | tokens/s |   MB |',
      '| ------------ | -------: | ---: |',
      '| mariana int8 |     12.3 | 1300 |',
      '| peer         |        5 |      |',
    ].join('\n'),
  );
});

test('a reason with bars and line ends stays in its cell', () => {
  expect(
    table([['a'], ['x | y\nz']])
      .split('\n')
      .at(-1),
  ).toBe('| x \\| y z |');
});

test('numbers have three digits that count', () => {
  expect([0, 0.01234, 0.5, 1.234, 12.34, 123.4, 12345.6, Number.NaN].map(digits)).toEqual([
    '0.00',
    '0.0123',
    '0.500',
    '1.23',
    '12.3',
    '123',
    '12346',
    'NaN',
  ]);
});
