/** What goes wrong is told where it happened, with what is safe and what to do, and nothing is lost. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SITE } from '../support/build-site.ts';
import { TEST_MODEL } from '../support/make-model.ts';
import { type Site, serveSite } from '../support/site.ts';
import { generate, launch, modelLoaded, visit } from '../support/visit.ts';

const CORRUPT = join(SITE, '../corrupt');

let browser: Browser;
let site: Site;
beforeAll(async () => {
  rmSync(CORRUPT, { recursive: true, force: true });
  mkdirSync(CORRUPT, { recursive: true });
  for (const file of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) {
    cpSync(join(TEST_MODEL, file), join(CORRUPT, file));
  }
  writeFileSync(
    join(CORRUPT, 'model.safetensors'),
    readFileSync(join(TEST_MODEL, 'model.safetensors')).subarray(0, 100_000),
  );
  browser = await launch();
  site = await serveSite(SITE, { mounts: { corrupt: CORRUPT, good: TEST_MODEL } });
});
afterAll(async () => {
  await browser.close();
  await site.close();
});

async function load(page: Page, address: string): Promise<void> {
  const open = page.getByRole('button', { name: 'Another model' });
  if ((await open.getAttribute('aria-expanded')) !== 'true') await open.click();
  await page.getByLabel(/Address of a folder/).fill(address);
  await page.getByRole('button', { name: 'Load', exact: true }).click();
}

describe('a model that cannot be had', () => {
  test.each([
    ['an address with nothing behind it', 'nothing/', /config\.json.*404.*no such file.*Check the address/s],
    ['a file that was cut short', 'corrupt/', /model\.safetensors.*Download the file again/s],
    ['no address at all', '??', /no address; write it as https/],
  ])('%s: the model before stays in use, with its text', async (_, path, message) => {
    await using visitor = await visit(browser, site);
    const { page } = visitor;
    await modelLoaded(page);
    await generate(page, 5);
    const text = await page.locator('.token').allTextContents();
    await load(page, path === '??' ? path : `${site.url}${path}`);
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).toMatch(message);
    expect(await alert.textContent()).toContain('the model in use are as they were');
    expect(await page.locator('.token').allTextContents()).toEqual(text);
    await page.getByRole('button', { name: 'Dismiss' }).click();
    await page.getByLabel('Tokens at most').fill('3');
    await page.getByRole('button', { name: 'Go on' }).click();
    await page
      .locator('.token')
      .nth(text.length + 2)
      .waitFor();
    expect(visitor.errors).toEqual([]);
  });
});

describe('what a browser or a page lacks', () => {
  test('without a graphics processor the page says so, and the CPU computes', async () => {
    await using visitor = await visit(browser, site);
    const { page } = visitor;
    await modelLoaded(page);
    await page
      .getByText(/WebGPU cannot be used: .*found no graphics processor.*The CPU computes the same, more slowly/)
      .waitFor();
    expect(await page.locator('.model-status').textContent()).toContain('CPU');
    await generate(page, 3);
    expect(visitor.errors).toEqual([]);
  });

  test('by plain HTTP there is no WebGPU, no shared memory and no storage: it is said, and the CPU computes', async () => {
    const own = await launch(['--host-resolver-rules=MAP mariana.test 127.0.0.1']);
    {
      await using visitor = await visit(own, { ...site, url: site.url.replace('127.0.0.1', 'mariana.test') });
      const { page } = visitor;
      await modelLoaded(page);
      await page.getByText(/WebGPU cannot be used: this browser has no WebGPU.*served by HTTPS may have it/).waitFor();
      await page.getByText(/no shared memory and the CPU computes on one thread/).waitFor();
      await page.getByText(/The model is not kept on this device/).waitFor();
      await generate(page, 3);
      expect(visitor.errors).toEqual([]);
    }
    await own.close();
  });

  test('without shared memory there is one thread, and the page says how to get more', async () => {
    const bare = await serveSite(SITE, { isolated: false });
    await using visitor = await visit(browser, bare);
    await modelLoaded(visitor.page);
    await visitor.page
      .getByText(/one thread: texts come slower and are the same.*Cross-Origin-Opener-Policy/)
      .waitFor();
    expect(await visitor.page.locator('.model-status').textContent()).toContain('1 thread');
    await generate(visitor.page, 3);
    expect(visitor.errors).toEqual([]);
    await bare.close();
  });

  test('with no room on the device the model runs all the same', async () => {
    await using visitor = await visit(browser, site, { hash: 'files.json' });
    const client = await visitor.context.newCDPSession(visitor.page);
    await client.send('Storage.overrideQuotaForOrigin', { origin: new URL(site.url).origin, quotaSize: 1_000_000 });
    await visitor.page.goto(site.url);
    await modelLoaded(visitor.page);
    await visitor.page.getByText(/not kept on this device.*no room/).waitFor();
    await generate(visitor.page, 3);
    expect(visitor.errors).toEqual([]);
  });
});

describe('visits', () => {
  test('after one visit the page opens and generates without a network', async () => {
    const own = await serveSite(SITE);
    await using visitor = await visit(browser, own);
    const { page } = visitor;
    await modelLoaded(page);
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => true));
    await own.close();
    await page.reload();
    await modelLoaded(page);
    await page.getByText('from this device').waitFor();
    await generate(page, 3);
    for (const place of ['Inside', 'Model card', 'Train']) {
      await page.getByRole('link', { name: place }).click();
      await page.locator('.place:not([hidden]) :is(h1, h2)').first().waitFor({ state: 'attached' });
    }
    expect(visitor.errors).toEqual([]);
  });

  test('a download that was cancelled goes on where it ended', async () => {
    let delay = 400;
    const slow = await serveSite(SITE, { delay: () => delay });
    await using visitor = await visit(browser, slow);
    const { page } = visitor;
    await page.getByText(/Downloading model\.safetensors/).waitFor();
    await page.getByText(/[2-9]\.\d+ MB of 12\.1 MB/).waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('No model is loaded yet').waitFor();
    delay = 0;
    slow.requests.length = 0;
    await page.getByRole('button', { name: 'Load the default model' }).click();
    await modelLoaded(page);
    const starts = slow.requests
      .filter((request) => request.includes('model.safetensors bytes='))
      .map((request) => Number(/bytes=(\d+)/.exec(request)![1]))
      .filter((start) => start > 0);
    expect(Math.min(...starts)).toBeGreaterThanOrEqual(2 ** 20);
    expect(visitor.errors).toEqual([]);
    await slow.close();
  });

  test('in a hidden tab the text goes on and is there when one comes back', async () => {
    await using visitor = await visit(browser, site);
    const { page } = visitor;
    await modelLoaded(page);
    // The likeliest text has no end before that.
    await page.getByLabel('Temperature').fill('0');
    await page.getByLabel('Tokens at most').fill('150');
    await page.getByRole('button', { name: 'Generate', exact: true }).click();
    await page.locator('.token').nth(10).waitFor();
    // A browser without a window hides no tab: what a page of a hidden one is denied is taken from it.
    await page.evaluate(() => {
      const { setTimeout: wait } = globalThis;
      const own = { requestAnimationFrame: () => 0, setTimeout: (run: () => void) => wait(run, 1000) };
      Object.assign(globalThis, own);
      Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    const written = () => page.evaluate(() => document.querySelectorAll('.token:not(.token-given)').length);
    await expect.poll(written, { timeout: 60_000 }).toBe(150);
    await expect
      .poll(() => page.evaluate(() => document.querySelector('[role=status]')?.textContent), { timeout: 60_000 })
      .toContain('ended: ');
    expect(visitor.errors).toEqual([]);
  });
});
