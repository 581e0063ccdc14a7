/**
 * Tests of the built page in a real Chromium without a window (`pnpm run test:browser`). Counted by `scripts/check.ts` like
 * every other test run.
 */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['@mariana/source'] },
  ssr: { resolve: { conditions: ['@mariana/source'], externalConditions: ['@mariana/source'] } },
  test: {
    include: ['test/browser/*.browser.ts'],
    globalSetup: ['test/support/build-site.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    fileParallelism: false,
    reporters: ['default', 'json'],
    outputFile: { json: '.cache/vitest-browser.json' },
  },
});
