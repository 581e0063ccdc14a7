/** A page served like any other, without cross-origin isolation: no shared memory, hence one thread. */
import { afterAll, describe, expect, test } from 'vitest';
import { inWorker, onPage } from './runners.ts';
import { conformanceTests, generationTest, goldenTests } from './suites.ts';

const worker = inWorker();
const page = await onPage();
afterAll(async () => {
  await worker.run('release');
  await page.run('release');
});

describe.each([
  ['in a worker', worker],
  ['on the page itself', page],
])('%s', (_, runner) => {
  test('there is no shared memory', async () => {
    expect(await runner.run('environment')).toMatchObject({ isolated: false, sharedMemory: false, mayWait: false });
  });

  test('by default the best kernels run on one thread', async () => {
    expect(await runner.run('start', {})).toEqual({ build: 'relaxed', threads: 1, shared: false });
  });

  test('more threads are refused, and it is said what they need', async () => {
    const message = expect.stringContaining('cross-origin isolated');
    expect(await runner.run('start', { threads: 2 })).toEqual({ code: 'INVALID_ARGUMENT', message });
    expect(await runner.run('start', { shared: true })).toEqual({ code: 'BACKEND_UNAVAILABLE', message });
  });

  generationTest(runner, {});
});

describe('in a worker', () => {
  describe('conformance', () => conformanceTests(worker, {}));
  describe('goldens', () => goldenTests(worker, {}));
});
