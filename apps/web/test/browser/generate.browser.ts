/** Generate, as a visitor sees it: the first token, stopping, going on, and the numbers, which are those of Node. */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { cpu } from '@mariana/backend-cpu';
import { type GeneratedChunk, Model } from '@mariana/runtime';
import type { Browser } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { likelihood } from '../../src/text/pieces.ts';
import type { TextToken } from '../../src/worker/model-api.ts';
import { SITE } from '../support/build-site.ts';
import { TEST_MODEL } from '../support/make-model.ts';
import { type Site, serveSite } from '../support/site.ts';
import { generate, launch, modelLoaded, visit } from '../support/visit.ts';

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

const PROMPT = 'Once upon a time';

/** The same request in Node. */
async function inNode(maxTokens: number): Promise<{ model: Model; chunks: GeneratedChunk[] }> {
  const model = await Model.load(TEST_MODEL, { backend: await cpu({ threads: 2 }), mtp: true });
  using session = model.session({ speculate: true });
  const options = { maxTokens, temperature: 0.8, topP: 0.95, seed: 1, topLogprobs: 5 };
  const chunks: GeneratedChunk[] = [];
  for await (const chunk of session.generate(PROMPT, options)) chunks.push(chunk);
  return { model, chunks };
}

describe('generating', () => {
  test('tokens, probabilities and alternatives are those of the runtime in Node for the same seed', async () => {
    await using visitor = await visit(browser, site);
    const { page } = visitor;
    await modelLoaded(page);
    await generate(page, 24);
    const { model, chunks } = await inNode(24);
    const prompt = model.requireTokenizer().encode(PROMPT);
    const ids = await page.locator('.token').evaluateAll((tokens) => tokens.length);
    expect(ids).toBe(prompt.length + chunks.length);
    const text = page.locator('.token-text').first();
    await text.focus();
    await page.keyboard.press('End');
    for (const [back, chunk] of chunks.toReversed().entries()) {
      if (back > 0) await page.keyboard.press('ArrowLeft');
      const name = (id: number) => model.requireTokenizer().decode([id]);
      const token: TextToken = {
        id: chunk.id,
        text: chunk.text,
        name: name(chunk.id),
        position: 0,
        logprob: chunk.logprob,
        alternatives: chunk.topLogprobs.map(({ id, logprob }) => ({ id, logprob, text: name(id) })),
        draft: null,
      };
      await expect.poll(() => page.locator('.token-panel .quiet').first().textContent()).toContain(`id ${chunk.id}`);
      // Halves of characters are written as their bytes on the page.
      if ([token.name, ...token.alternatives.map(({ text }) => text)].some((one) => one.includes('\ufffd'))) continue;
      expect(await page.locator('.token-panel .finding').textContent()).toBe(likelihood(token));
    }
    model.dispose();
    model.backend.dispose();
    expect(visitor.errors).toEqual([]);
  });

  test('stopping keeps what came, and going on begins there', async () => {
    await using visitor = await visit(browser, site);
    const { page } = visitor;
    await modelLoaded(page);
    // The likeliest text goes on for hundreds of tokens; one of chance may end before anybody stops it.
    await page.getByLabel('Temperature').fill('0');
    await page.getByLabel('Tokens at most').fill('2000');
    await page.getByRole('button', { name: 'Generate', exact: true }).click();
    await page.locator('.token').nth(20).waitFor();
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('stopped; nothing is lost').waitFor();
    const before = await page.locator('.token').allTextContents();
    expect(before.length).toBeLessThan(2000);
    await page.getByLabel('Tokens at most').fill('5');
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByText(/ended: /).waitFor();
    const after = await page.locator('.token').allTextContents();
    expect(after.slice(0, before.length)).toEqual(before);
    expect(after).toHaveLength(before.length + 5);
    expect(visitor.errors).toEqual([]);
  });

  test('another backend takes over in the middle of a text, which goes on to its end', async () => {
    await using visitor = await visit(browser, site);
    const { page } = visitor;
    await modelLoaded(page);
    // The likeliest text has no end before that, wherever the other takes over.
    await page.getByLabel('Temperature').fill('0');
    await page.getByLabel('Tokens at most').fill('300');
    await page.getByRole('button', { name: 'Generate', exact: true }).click();
    await page.locator('.token').nth(20).waitFor();
    const begun = await page.locator('.token').first().textContent();
    await page.getByLabel('Computed by').selectOption('cpu');
    await page.getByText(/ended: as many tokens/).waitFor({ timeout: 120_000 });
    const tokens = await page.locator('.token:not(.token-given)').count();
    expect(tokens).toBe(300);
    expect(await page.locator('.token').first().textContent()).toBe(begun);
    expect(visitor.errors).toEqual([]);
  });

  test('a folder on disk is loaded without the network', async () => {
    await using visitor = await visit(browser, site);
    const { page } = visitor;
    await modelLoaded(page);
    await page.getByRole('button', { name: 'Another model' }).click();
    await page.getByLabel(/Folder on this computer/).setInputFiles(TEST_MODEL);
    await page.getByText('from files').waitFor();
    await generate(page, 3);
    expect(visitor.errors).toEqual([]);
  });

  test('the first view takes less than 200 KB of compressed script', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const requested: string[] = [];
    page.on('request', (request) => requested.push(new URL(request.url()).pathname));
    await page.goto(site.url);
    await page.getByRole('button', { name: 'Generate', exact: true }).waitFor();
    await expect.poll(() => requested.findIndex((path) => path.includes('worker'))).toBeGreaterThan(0);
    // The page has drawn itself when it starts its worker.
    const scripts = requested.slice(
      0,
      requested.findIndex((path) => path.includes('worker')),
    );
    const compressed = scripts
      .filter((path) => path.endsWith('.js'))
      .map((path) => gzipSync(readFileSync(`${SITE}${path}`)).byteLength);
    expect(compressed.length).toBeGreaterThan(1);
    expect(compressed.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(200_000);
    await context.close();
  });
});
