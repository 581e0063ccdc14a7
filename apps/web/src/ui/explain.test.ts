import { MarianaError } from '@mariana/core';
import { expect, test } from 'vitest';
import { explain, isCancelled } from './explain.ts';

test('an error with a code says what happened, what is safe and what to do', () => {
  const { happened, safe, todo, code } = explain(new MarianaError('FILE_NOT_FOUND', 'config.json: there is none'));
  expect(happened).toBe('config.json: there is none.');
  expect(safe).toContain('as they were');
  expect(todo).toContain('Check the address');
  expect(code).toBe('FILE_NOT_FOUND');
});

test('a full disk costs the copy and not the model', () => {
  expect(explain(new DOMException('full', 'QuotaExceededError')).safe).toContain('still runs');
});

test('anything else is shown as it is, and a cancelled call is no error', () => {
  expect(explain('odd').happened).toBe('odd.');
  expect(isCancelled(new DOMException('stop', 'AbortError'))).toBe(true);
  expect(isCancelled(new Error('stop'))).toBe(false);
});
