/** A visitor of the page: a browser profile of their own, and what went wrong on the page, which no test may leave unseen. */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright';
import { findChromium } from '../../../../tooling/chromium.ts';
import type { Site } from './site.ts';

/** Screenshots of all views; git ignores them. */
const PICTURES = fileURLToPath(new URL('../../.cache/screenshots', import.meta.url));
/** Those that READMEs show, made anew when MARIANA_UPDATE_IMAGES is set. */
const IMAGES = fileURLToPath(new URL('../../../../docs/images', import.meta.url));

const ARGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function launch(args: readonly string[] = []): Promise<Browser> {
  const executablePath = findChromium();
  return chromium.launch({ args: [...ARGS, ...args], ...(executablePath !== undefined && { executablePath }) });
}

export interface Visit extends AsyncDisposable {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Errors that nobody caught. */
  readonly errors: string[];
}

export async function visit(
  browser: Browser,
  site: Site,
  { hash = '', ...options }: BrowserContextOptions & { hash?: string } = {},
): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(`${site.url}${hash}`);
  return { page, context, errors, [Symbol.asyncDispose]: () => context.close() };
}

/** Waits until a text can be generated. */
export async function modelLoaded(page: Page): Promise<void> {
  await page.locator('button.primary:enabled', { hasText: 'Generate' }).first().waitFor({ timeout: 120_000 });
}

/** Generates so many tokens and waits for the end. */
export async function generate(page: Page, tokens: number): Promise<void> {
  await page.getByLabel('Tokens at most').fill(String(tokens));
  await page.getByRole('button', { name: 'Generate', exact: true }).click();
  await page.getByText(/ended: /).waitFor({ timeout: 120_000 });
}

/** A screenshot among the artefacts, and for READMEs under `image` if they are to be renewed. */
export async function picture(page: Page, name: string, image?: string): Promise<void> {
  mkdirSync(PICTURES, { recursive: true });
  await page.evaluate(() => scrollTo(0, 0)); // what sticks to the top belongs there
  await page.screenshot({ path: `${PICTURES}/${name}.png`, fullPage: true });
  if (image === undefined || !process.env.MARIANA_UPDATE_IMAGES) return;
  mkdirSync(IMAGES, { recursive: true });
  await page.screenshot({ path: `${IMAGES}/${image}.png` });
}
