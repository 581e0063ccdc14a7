/** Builds the page, with the model that it is tested with, before the tests in the browser. */
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { findChromium, NO_CHROMIUM } from '../../../../tooling/chromium.ts';
import { makeModel, TEST_MODEL } from './make-model.ts';

/** Where the built page is. */
export const SITE = fileURLToPath(new URL('../../.cache/site', import.meta.url));

export default async function setup(): Promise<void> {
  if (findChromium() === undefined) throw new Error(NO_CHROMIUM);
  await makeModel();
  process.env.MARIANA_WEB_MODEL = TEST_MODEL;
  await build({
    configFile: fileURLToPath(new URL('../../vite.config.ts', import.meta.url)),
    logLevel: 'warn',
    build: { outDir: SITE, emptyOutDir: true },
  });
}
