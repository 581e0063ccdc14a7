import { MarianaError } from '@mariana/core';
import { expect, test } from 'vitest';
import { explain, isCancelled, isDeviceLost } from './explain.ts';

test('an error with a code says what happened, what is safe and what to do', () => {
  const { happened, safe, todo, code } = explain(new MarianaError('FILE_NOT_FOUND', 'config.json: there is none'));
  expect(happened).toBe('config.json: there is none.');
  expect(safe).toContain('as they were');
  expect(todo).toContain('Check the address');
  expect(code).toBe('FILE_NOT_FOUND');
});

test('a lost device is told in words of the page, and told from other failures of a backend', () => {
  const lost = new MarianaError('BACKEND_FAILED', 'webgpu: make another backend', { details: { lost: true } });
  expect(isDeviceLost(lost)).toBe(true);
  expect(explain(lost)).toMatchObject({
    happened: expect.stringContaining('device lost'),
    safe: 'Your text is as it was.',
    todo: expect.stringContaining('go on with the text'),
    code: 'BACKEND_FAILED',
  });
  const other = new MarianaError('BACKEND_FAILED', 'webgpu: a shader');
  expect(isDeviceLost(other)).toBe(false);
  expect(explain(other).happened).toBe('webgpu: a shader.');
});

test('a full disk costs the copy and not the model', () => {
  expect(explain(new DOMException('full', 'QuotaExceededError')).safe).toContain('still runs');
});

test('anything else is shown as it is, and a cancelled call is no error', () => {
  expect(explain('odd').happened).toBe('odd.');
  expect(isCancelled(new DOMException('stop', 'AbortError'))).toBe(true);
  expect(isCancelled(new Error('stop'))).toBe(false);
});
