import { expect, test } from 'vitest';
import { broadcastOffsets } from './elementwise.ts';

test.each([
  { operand: [], shape: [2, 2], offsets: [0, 0, 0, 0] },
  { operand: [3], shape: [2, 3], offsets: [0, 1, 2, 0, 1, 2] },
  { operand: [2, 1], shape: [2, 3], offsets: [0, 0, 0, 1, 1, 1] },
  { operand: [1, 3], shape: [2, 3], offsets: [0, 1, 2, 0, 1, 2] },
  { operand: [2, 3], shape: [2, 3], offsets: [0, 1, 2, 3, 4, 5] },
  { operand: [2, 1, 2], shape: [2, 2, 2], offsets: [0, 1, 0, 1, 2, 3, 2, 3] },
  { operand: [2, 1], shape: [2, 2, 2], offsets: [0, 0, 1, 1, 0, 0, 1, 1] },
  { operand: [1, 3], shape: [0, 3], offsets: [] },
])('$operand broadcasts to $shape', ({ operand, shape, offsets }) => {
  expect([...broadcastOffsets(operand, shape)]).toEqual(offsets);
});
