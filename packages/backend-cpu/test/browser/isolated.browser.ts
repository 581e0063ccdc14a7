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

describe('under a Content-Security-Policy', () => {
  const works = (threads: number) => ({ build: 'relaxed', threads, shared: true });
  const refused = (hint: string) => ({ code: 'BACKEND_UNAVAILABLE', message: expect.stringContaining(hint) });

  test.each([
    ["worker-src blob:; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'", works(2), works(1)],
    ["worker-src 'self'", refused('one thread'), works(1)],
    ["script-src 'self' 'unsafe-inline'", refused('wasm-unsafe-eval'), refused('wasm-unsafe-eval')],
  ])('%s', async (policy, two, one) => {
    expect(await startUnder(policy)).toEqual([two, one]);
  });
});

/** What comes of two threads, and of one, on a page of its own under a policy. */
async function startUnder(policy: string): Promise<unknown> {
  const frame = document.createElement('iframe');
  frame.src = `/frame.html?policy=${encodeURIComponent(policy)}`;
  const told = Promise.withResolvers<unknown>();
  const listen = ({ data, source }: MessageEvent) => source === frame.contentWindow && told.resolve(data);
  window.addEventListener('message', listen);
  document.body.append(frame);
  try {
    return await told.promise;
  } finally {
    window.removeEventListener('message', listen);
    frame.remove();
  }
}
