/** The page on WebGPU, which a program imitates here; and what becomes of it when the device is lost. */
import type { Browser } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SITE } from '../support/build-site.ts';
import { type Site, serveSite } from '../support/site.ts';
import { generate, launch, modelLoaded, visit } from '../support/visit.ts';

let browser: Browser;
let site: Site;
beforeAll(async () => {
  browser = await launch(['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan']);
  site = await serveSite(SITE);
});
afterAll(async () => {
  await browser.close();
  await site.close();
});

test('a text is gone on with on WebGPU, and on the CPU again when the device is lost', async () => {
  await using visitor = await visit(browser, site);
  const { page, context } = visitor;
  await modelLoaded(page);
  await generate(page, 3);
  await page.getByLabel('Computed by').selectOption('webgpu');
  await expect.poll(() => page.locator('.model-status').textContent(), { timeout: 120_000 }).toContain('WebGPU');
  await page.getByRole('button', { name: 'Go on' }).click();
  await expect.poll(() => page.locator('.token:not(.token-given)').count(), { timeout: 120_000 }).toBe(6);
  await page.getByText(/ended: /).waitFor();

  const crash = await context.newPage();
  await crash.goto('chrome://gpucrash').catch(() => {}); // it never answers
  await crash.close();
  await page.getByRole('button', { name: 'Go on' }).click();
  const alert = page.getByRole('alert');
  await alert.waitFor({ timeout: 120_000 });
  expect(await alert.textContent()).toMatch(/device was lost.*Choose a backend again/);
  expect(await page.locator('.token:not(.token-given)').count()).toBe(6);
  await page.getByLabel('Computed by').selectOption('cpu');
  await expect.poll(() => page.locator('.model-status').textContent(), { timeout: 120_000 }).toContain('CPU');
  await page.getByRole('button', { name: 'Go on' }).click();
  await expect.poll(() => page.locator('.token:not(.token-given)').count(), { timeout: 120_000 }).toBe(9);
  expect(visitor.errors).toEqual([]);
});
