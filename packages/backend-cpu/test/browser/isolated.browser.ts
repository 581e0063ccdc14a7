/** A page served cross-origin isolated: threads in a worker, and on the page itself, which may not wait for them. */
import { afterAll, describe, expect, test } from 'vitest';
import { inWorker, onPage } from './runners.ts';
import { conformanceTests, generationTest, goldenTests } from './suites.ts';

const worker = inWorker();
const page = await onPage();
afterAll(async () => {
  await worker.run('release');
  await page.run('release');
});

describe('in a worker', async () => {
  test('threads can share memory and wait', async () => {
    const expected = { page: false, isolated: true, sharedMemory: true, mayWait: true };
    expect(await worker.run('environment')).toEqual(expected);
  });

  test('by default the best kernels run on all cores', async () => {
    const expected = { build: 'relaxed', threads: navigator.hardwareConcurrency, shared: true };
    expect(await worker.run('start', {})).toEqual(expected);
  });

  for (const build of ['relaxed', 'simd', 'scalar'] as const) {
    describe(`conformance, ${build}, 2 threads`, () => conformanceTests(worker, { build, threads: 2 }));
  }
  describe('goldens, 2 threads', () => goldenTests(worker, { threads: 2 }));
  generationTest(worker, { threads: 2 });
});

describe('on the page itself', async () => {
  test('memory can be shared, but waiting is not allowed', async () => {
    const expected = { page: true, isolated: true, sharedMemory: true, mayWait: false };
    expect(await page.run('environment')).toEqual(expected);
  });

  // With a second thread the page watches for it instead of waiting.
  for (const threads of [1, 2]) {
    describe(`conformance, threads: ${threads}`, () => conformanceTests(page, { threads }, 2));
    describe(`goldens, threads: ${threads}`, () => goldenTests(page, { threads }, ['tiny-dense-moe', 'tiny-fp8']));
    describe(`runtime, threads: ${threads}`, () => generationTest(page, { threads }));
  }
});
