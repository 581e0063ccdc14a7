/** All views: pictures of them, what axe finds, and what Inside shows. */
import type { Browser } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seriousFindings } from '../support/axe.ts';
import { SITE } from '../support/build-site.ts';
import { type Site, serveSite } from '../support/site.ts';
import { generate, launch, modelLoaded, picture, visit } from '../support/visit.ts';

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

describe.each([
  ['desktop', { width: 1280, height: 900 }],
  ['phone', { width: 360, height: 740 }],
] as const)('%s', (device, viewport) => {
  test.each(['light', 'dark'] as const)(
    '%s: pictures, nothing serious for axe, nothing wider than the view',
    async (colorScheme) => {
      await using visitor = await visit(browser, site, { viewport, colorScheme, reducedMotion: 'reduce' });
      const { page } = visitor;
      const findings: string[] = [];
      const look = async (place: string) => {
        const image = device === 'desktop' && colorScheme === 'light' ? place : undefined;
        await picture(page, `${place}-${device}-${colorScheme}`, image);
        findings.push(...(await seriousFindings(page)).map((finding) => `${place}: ${finding}`));
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (overflow > 0) findings.push(`${place}: ${overflow} pixels wider than the view`);
      };
      await modelLoaded(page);
      await generate(page, 120);
      await page.locator('.place:not([hidden]) .token').nth(30).hover();
      await look('generate');
      await page.getByRole('link', { name: 'Inside' }).click();
      await page.getByRole('heading', { name: 'Attention', exact: true }).waitFor();
      await page.locator('.place:not([hidden]) .chart svg').nth(2).waitFor();
      await page.locator('.place:not([hidden]) .token').nth(40).hover();
      await look('inside');
      await page.getByRole('link', { name: 'Model card' }).click();
      await page.locator('.place:not([hidden]) .chart svg').first().waitFor();
      await look('model-card');
      await page.getByRole('link', { name: 'Train' }).click();
      await page.getByRole('button', { name: /Start/ }).waitFor();
      await look('train');
      expect(findings).toEqual([]);
      expect(visitor.errors).toEqual([]);
    },
  );
});

test('inside: each token has its experts, attention and cache, and every place keeps its state', async () => {
  await using visitor = await visit(browser, site);
  const { page } = visitor;
  await modelLoaded(page);
  await generate(page, 40);
  await page.getByRole('link', { name: 'Inside' }).click();
  await page.getByText(/Layer \d+ sent .* of this text to expert \d+; even would be 25/).waitFor();
  await page.getByText(/For .* layer \d+ was most decided/).waitFor();
  await page.getByText(/tokens take .* of cache.*plain attention .*times as much/).waitFor();
  await page.getByText(/head 0 of layer 0 looks most at/).waitFor();
  await page.getByText(/Of \d+ drafts \d+ were right/).waitFor();
  await page
    .getByText(/Attention of this layer takes .* KiB here.*over 16\.0 MiB the oldest tokens' is let go/)
    .waitFor();
  await page.getByRole('button', { name: 'Head 1' }).click();
  await page.getByText(/head 1 of layer 0 looks most at/).waitFor();
  await page.getByRole('group', { name: 'Layer' }).getByRole('button', { name: '2' }).click();
  await page.getByText(/head 1 of layer 2 looks most at/).waitFor();
  expect(page.url()).toContain('#inside?');
  await page.getByRole('link', { name: 'Generate' }).click();
  expect(await page.locator('.place:not([hidden]) .token').count()).toBeGreaterThan(40);
  await page.getByRole('link', { name: 'Inside' }).click();
  await page.getByText(/head 1 of layer 2 looks most at/).waitFor();
  expect(visitor.errors).toEqual([]);
});
