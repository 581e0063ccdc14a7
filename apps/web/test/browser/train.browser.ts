/** Train, as a visitor sees it: a run, its numbers, which are those of Node, and that nothing of it is lost. */
import { readFileSync } from 'node:fs';
import { cpu } from '@mariana/backend-cpu';
import { MemoryFiles } from '@mariana/core';
import { Model } from '@mariana/runtime';
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defaultSettings } from '../../src/worker/train-plan.ts';
import { seriousFindings } from '../support/axe.ts';
import { SITE } from '../support/build-site.ts';
import { type Site, serveSite } from '../support/site.ts';
import { launch, picture, visit } from '../support/visit.ts';
import { never, sessionOf, Told } from '../train/support.ts';

const SAMPLE = new URL('../../src/places/train/sample/english-fairy-tales.txt', import.meta.url);

let browser: Browser;
let site: Site;
beforeAll(async () => {
  browser = await launch();
  site = await serveSite(SITE);
});
afterAll(async () => {
  await browser.close();
  await site.close();
});

const open = (steps: number) => visit(browser, site, { hash: `#train?size=small&steps=${steps}` });

async function start(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Start training' }).click();
  await page.locator('.standing').waitFor();
}

const heading = (page: Page, name: string) =>
  page.getByRole('heading', { name, exact: true }).waitFor({ timeout: 120_000 });

/** Steps done, as the page says. */
async function stepOf(page: Page): Promise<number> {
  return Number(/Step(\d+) of/.exec((await page.locator('.standing-figures').textContent()) ?? '')?.[1]);
}

async function pastStep(page: Page, step: number): Promise<void> {
  await expect.poll(() => stepOf(page), { timeout: 120_000 }).toBeGreaterThan(step);
}

/** Losses of the steps, from the table behind the picture. */
async function losses(page: Page): Promise<string[]> {
  const figure = page.getByRole('figure', { name: 'Loss', exact: true });
  await figure.getByText('Numbers as a table').click();
  const cells = await figure.locator('tbody tr td:nth-child(2)').allTextContents();
  await figure.getByText('Numbers as a table').click();
  return cells;
}

/** The same run in Node. */
async function lossesInNode(steps: number): Promise<string[]> {
  const told = new Told();
  const text = readFileSync(SAMPLE, 'utf8');
  const settings = { ...defaultSettings('small'), steps };
  await sessionOf(null).run({ from: 'text', settings, text, textName: 'sample' }, told.emit, never);
  return told.losses.map((loss) => loss.toFixed(4));
}

describe('a run', () => {
  test('has the losses of the SDK in Node, writes texts, and its model is tried and saved', async () => {
    await using visitor = await open(8);
    const { page } = visitor;
    await start(page);
    await heading(page, 'Trained');
    expect(await losses(page)).toEqual(await lossesInNode(8));
    await page.getByText(/In 8 steps the loss fell from/).waitFor();
    await page.getByText(/In the last 8 steps layer \d sent .* to expert \d; even would be 12\.5 %/).waitFor();
    await page.getByText('up to step 8').waitFor();
    await page.getByText('After step 8').waitFor();
    const sample = (await page.locator('.sample-text.large').textContent())!;
    expect(sample).toMatch(/^Once upon a time./s);

    await page.getByRole('button', { name: 'Save the checkpoint' }).click();
    await page.getByRole('link', { name: 'model.safetensors' }).waitFor();
    const files: Record<string, Uint8Array> = {};
    for (const link of await page.locator('.files a').all()) {
      const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
      files[download.suggestedFilename()] = readFileSync(await download.path());
    }
    const model = await Model.load(new MemoryFiles(files), { backend: await cpu({ threads: 1 }) });
    let text = 'Once upon a time';
    const options = { maxTokens: 96, temperature: 0.8, topP: 0.95, seed: 0 };
    for await (const chunk of model.session().generate(text, options)) text += chunk.text;
    expect(text).toBe(sample);

    await page.getByRole('button', { name: 'Try it in Generate' }).click();
    await expect
      .poll(() => page.locator('.model-status').textContent(), { timeout: 60_000 })
      .toContain('trained here, step 8');
    expect(page.url()).toContain('#generate');
    expect(visitor.errors).toEqual([]);
  });

  test('that is paused, left and come back to goes on as if nothing had been', async () => {
    await using visitor = await open(12);
    const { page } = visitor;
    await start(page);
    await pastStep(page, 2);
    await page.getByRole('button', { name: 'Pause' }).click();
    await heading(page, 'Paused');
    const step = await stepOf(page);
    const before = await losses(page);
    expect(before).toHaveLength(step);
    expect(step).toBeLessThan(12);

    await page.reload();
    await heading(page, 'Paused');
    await page.getByText(`This run was left after step ${step}`).waitFor();
    expect(await losses(page)).toEqual(before);
    await page.getByRole('button', { name: 'Go on' }).click();
    await heading(page, 'Trained');
    // The curve is drawn at most as often as the page is, so it may come after the heading.
    await expect.poll(() => losses(page), { timeout: 30_000 }).toEqual(await lossesInNode(12));
    expect(visitor.errors).toEqual([]);
  });

  test('goes on while its tab is hidden, is saved then, and is there after the tab was closed', async () => {
    await using visitor = await open(400);
    const { page, context } = visitor;
    await start(page);
    await pastStep(page, 1);
    const setVisibility = (state: 'hidden' | 'visible') =>
      page.evaluate((value) => {
        Object.defineProperty(document, 'visibilityState', { value, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }, state);
    await setVisibility('hidden');
    const step = await stepOf(page);
    await page.getByText(/up to step \d+/).waitFor();
    await pastStep(page, step + 1);
    await setVisibility('visible');
    await page.getByText(/While this tab was hidden the run went on, from step \d+ to \d+; nothing was lost/).waitFor();
    const kept = Number(/up to step (\d+)/.exec((await page.locator('.standing-figures').textContent())!)![1]);
    expect(kept).toBeGreaterThanOrEqual(step);
    await page.close();

    const later = await context.newPage();
    await later.goto(`${site.url}#train`);
    await heading(later, 'Paused');
    expect(await stepOf(later)).toBeGreaterThanOrEqual(kept);
    await later.getByRole('button', { name: 'Discard the run' }).click();
    await later.getByRole('button', { name: 'Discard it' }).click();
    await later.getByRole('button', { name: 'Start training' }).waitFor();
    await later.reload();
    await later.getByRole('button', { name: 'Start training' }).waitFor();
  });

  test('pictures of it, and nothing serious for axe', async () => {
    await using visitor = await open(6);
    const { page } = visitor;
    await start(page);
    await heading(page, 'Trained');
    await page.locator('.run-figures .chart svg').waitFor();
    const found: string[] = [];
    for (const [device, width] of [
      ['desktop', 1280],
      ['phone', 360],
    ] as const) {
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.setViewportSize({ width, height: 800 });
        await page.emulateMedia({ colorScheme });
        await picture(page, `train-run-${device}-${colorScheme}`);
        found.push(...(await seriousFindings(page)));
        expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
      }
    }
    expect(found).toEqual([]);
  });
});

describe('what goes wrong', () => {
  test('a text that is too short is told before anything is computed, and another one can be given', async () => {
    await using visitor = await open(4);
    const { page } = visitor;
    await page.getByLabel('Your own').check();
    await page.getByPlaceholder('Paste a text here').fill('Too short.');
    await page.getByRole('button', { name: 'Start training' }).click();
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).toMatch(/do not fill one sequence of 64.*use more text/);
    expect(await page.getByPlaceholder('Paste a text here').inputValue()).toBe('Too short.');
    await page.getByPlaceholder('Paste a text here').fill('The fox met a goose by the river. '.repeat(200));
    await start(page);
    await heading(page, 'Trained');
    await page.getByText(/learned your text/).waitFor();
    expect(visitor.errors).toEqual([]);
  });

  test('settings of an address that make no sense are told', async () => {
    await using visitor = await visit(browser, site, { hash: '#train?size=giant' });
    const alert = visitor.page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).toMatch(/size of the run is giant: use small, medium, large/);
  });

  test('a full storage: the run goes on, and what to do is said', async () => {
    await using visitor = await open(6);
    const { page, context } = visitor;
    const devtools = await context.newCDPSession(page);
    await page.getByRole('button', { name: 'Start training' }).waitFor();
    await devtools.send('Storage.overrideQuotaForOrigin', { origin: new URL(site.url).origin, quotaSize: 200_000 });
    await start(page);
    await heading(page, 'Trained');
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).toMatch(/could not be saved.*storage is full.*save the checkpoint to disk/);
    await page.getByText('Nothing of it was saved yet.').waitFor();
    await page.getByRole('button', { name: 'Save the checkpoint' }).click();
    await page.getByRole('link', { name: 'model.safetensors' }).waitFor();
    expect(visitor.errors).toEqual([]);
  });

  test('a second tab does not train over the first', async () => {
    await using visitor = await open(300);
    const { page, context } = visitor;
    await start(page);
    await pastStep(page, 0);
    const second = await context.newPage();
    await second.goto(`${site.url}#train`);
    const alert = second.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).toMatch(/trains in another tab; go on there/);
    await pastStep(page, await stepOf(page));
  });

  test('without shared memory it trains on one thread', async () => {
    const bare = await serveSite(SITE, { isolated: false });
    await using visitor = await visit(browser, bare, { hash: '#train?size=small&steps=2' });
    await start(visitor.page);
    await heading(visitor.page, 'Trained');
    expect(visitor.errors).toEqual([]);
    await bare.close();
  });
});
