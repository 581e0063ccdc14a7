import { expect, test } from 'vitest';
import { shownText, visible } from './pieces.ts';

test('what cannot be seen is made visible, and marks are written in signs that every font has', () => {
  expect(visible(' a\nb ')).toBe('␣a↵b␣');
  expect(visible('<｜begin▁of▁sentence｜>')).toBe('‹begin of sentence›');
  expect(visible('<s>')).toBe('<s>');
  const token = { id: 0, position: 0, logprob: null, alternatives: [], draft: null };
  expect(shownText({ ...token, text: '<｜User｜>', name: '<｜User｜>' })).toBe('‹User›');
  expect(shownText({ ...token, text: ' a', name: ' a' })).toBe(' a');
  expect(shownText({ ...token, text: '', name: '‹e2›' })).toBe('·');
});
