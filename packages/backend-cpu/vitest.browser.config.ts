/**
 * Tests in a real Chromium without a window (`pnpm run test:browser`): once on a page that is cross-origin isolated, once
 * on one that is not. Counted by `scripts/check.ts` like every other test run.
 */
import { fileURLToPath } from 'node:url';
import { playwright } from '@vitest/browser-playwright';
import type { Plugin } from 'vite';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { findChromium, NO_CHROMIUM } from '../../tooling/chromium.ts';
import { site } from './test/browser/site.ts';

const executablePath = findChromium();

/** Says it in one line. Not said when this file is loaded, which other tools do too. */
const needsChromium: Plugin = {
  name: 'mariana-needs-chromium',
  configureServer() {
    if (executablePath === undefined) throw new Error(NO_CHROMIUM);
  },
};

function project(name: string): TestProjectInlineConfiguration {
  return {
    plugins: [needsChromium, site({ isolated: name === 'isolated' })],
    publicDir: fileURLToPath(new URL('../goldens/fixtures', import.meta.url)),
    test: {
      name,
      include: [`test/browser/${name}.browser.ts`],
      testTimeout: 120_000,
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({
          launchOptions: {
            ...(executablePath === undefined ? {} : { executablePath }),
            args: [
              '--no-sandbox',
              '--disable-quic',
              '--no-first-run',
              '--disable-background-networking',
              '--disable-component-update',
              '--disable-sync',
            ],
          },
        }),
        instances: [{ browser: 'chromium' }],
      },
    },
  };
}

export default defineConfig({
  test: {
    projects: [project('isolated'), project('plain')],
    fileParallelism: false,
    reporters: ['default', 'json'],
    outputFile: { json: '.cache/vitest-browser.json' },
  },
});
