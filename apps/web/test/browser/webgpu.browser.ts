/**
 * The page on WebGPU, which a driver in software imitates here: the first text, its numbers beside those of the CPU in
 * Node, changing from one to the other in the middle of a text, and what becomes of a text whose device is lost.
 */
import { cpu } from '@mariana/backend-cpu';
import { Model } from '@mariana/runtime';
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SITE } from '../support/build-site.ts';
import { TEST_MODEL } from '../support/make-model.ts';
import { type Site, serveSite } from '../support/site.ts';
import { launch, modelLoaded, visit } from '../support/visit.ts';

/** Shaders are compiled for a processor that has other things to do. */
const SLOW = { timeout: 120_000 };

let browser: Browser;
let site: Site;
beforeAll(async () => {
  browser = await launch(['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader']);
  site = await serveSite(SITE);
});
afterAll(async () => {
  await browser.close();
  await site.close();
});

const written = (page: Page) => page.locator('.token:not(.token-given)');

async function computedBy(page: Page, backend: 'cpu' | 'webgpu'): Promise<void> {
  await page.getByLabel('Computed by').selectOption(backend);
  const title = backend === 'cpu' ? 'CPU' : 'WebGPU';
  await expect.poll(() => page.locator('.model-status').textContent(), SLOW).toContain(title);
}

/** The likeliest text: it ends nowhere before so many tokens, whichever computes. */
async function begin(page: Page, tokens: number): Promise<void> {
  await page.getByLabel('Temperature').fill('0');
  await page.getByLabel('Tokens at most').fill(String(tokens));
  await page.getByRole('button', { name: 'Generate', exact: true }).click();
}

async function moreThan(page: Page, tokens: number): Promise<void> {
  await written(page).nth(tokens).waitFor(SLOW);
}

/** Ids of the tokens that were written, as the page names each. */
async function idsOf(page: Page): Promise<number[]> {
  const ids: number[] = [];
  await page.locator('.token-text').first().focus();
  await page.keyboard.press('End');
  const count = await written(page).count();
  const given = await page.locator('.token-given').count();
  for (let index = count - 1; index >= 0; index--) {
    if (index < count - 1) await page.keyboard.press('ArrowLeft');
    const head = page.locator('.token-panel .quiet').first();
    await expect.poll(() => head.textContent()).toContain(`Token ${given + index + 1},`);
    ids.unshift(Number(/id (\d+)/.exec((await head.textContent())!)![1]));
  }
  return ids;
}

/** The likeliest tokens, by the CPU in Node. */
async function likeliestInNode(maxTokens: number): Promise<number[]> {
  using backend = await cpu({ threads: 1 });
  const model = await Model.load(TEST_MODEL, { backend, mtp: true });
  using session = model.session({ speculate: true });
  const ids: number[] = [];
  for await (const { id } of session.generate('Once upon a time', { maxTokens, temperature: 0 })) ids.push(id);
  model.dispose();
  return ids;
}

test('the best of the browser is the CPU where WebGPU is only imitated; chosen, WebGPU writes the same text', async () => {
  await using visitor = await visit(browser, site);
  const { page } = visitor;
  await modelLoaded(page);
  expect(await page.locator('.model-status').textContent()).toContain('CPU');
  await computedBy(page, 'webgpu');
  await begin(page, 8);
  await page.getByText(/ended: /).waitFor(SLOW);
  expect(await page.getByRole('status').first().textContent()).toMatch(/first after .* s/);
  expect(await idsOf(page)).toEqual(await likeliestInNode(8));
  expect(visitor.errors).toEqual([]);
});

test('a text changes from CPU to WebGPU and back while it is written', async () => {
  await using visitor = await visit(browser, site);
  const { page } = visitor;
  await modelLoaded(page);
  await begin(page, 4000);
  await moreThan(page, 10);
  await computedBy(page, 'webgpu');
  await page.getByRole('button', { name: 'Stop' }).waitFor(SLOW);
  const before = await written(page).allTextContents();
  await moreThan(page, before.length + 1);
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByText('stopped; nothing is lost').waitFor(SLOW);

  await page.getByLabel('Tokens at most').fill('40');
  await page.getByRole('button', { name: 'Go on' }).click();
  const stood = await written(page).count();
  await moreThan(page, stood);
  await computedBy(page, 'cpu');
  await page.getByText(/ended: as many tokens/).waitFor(SLOW);
  const after = await written(page).allTextContents();
  expect(after.slice(0, before.length)).toEqual(before);
  expect(after).toHaveLength(stood + 40);
  expect(visitor.errors).toEqual([]);
});

test('when the device is lost the text stays, and goes on on a new one, or on the CPU', async () => {
  await using visitor = await visit(browser, site);
  const { page } = visitor;
  await modelLoaded(page);
  await computedBy(page, 'webgpu');
  const gpu = await browser.newBrowserCDPSession();
  const alert = page.getByRole('alert');

  await begin(page, 60);
  await moreThan(page, 2);
  await gpu.send('Browser.crashGpuProcess').catch(() => {});
  await alert.waitFor(SLOW);
  expect(await alert.textContent()).toMatch(/device lost.*Your text is as it was.*Load the model again/s);
  const first = await written(page).allTextContents();
  expect(first.length).toBeGreaterThan(2);
  await page.getByRole('button', { name: 'Load the model again and go on' }).click();
  await moreThan(page, first.length + 1);
  expect(await alert.count()).toBe(0);

  await gpu.send('Browser.crashGpuProcess').catch(() => {});
  await alert.waitFor(SLOW);
  const second = await written(page).allTextContents();
  expect(second.slice(0, first.length)).toEqual(first);
  await computedBy(page, 'cpu');
  await page.getByLabel('Tokens at most').fill('5');
  await page.getByRole('button', { name: 'Go on', exact: true }).click();
  await page.getByText(/ended: /).waitFor(SLOW);
  const last = await written(page).allTextContents();
  expect(last.slice(0, second.length)).toEqual(second);
  expect(last).toHaveLength(second.length + 5);
  expect(visitor.errors).toEqual([]);
});
