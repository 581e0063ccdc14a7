/** The examples that are pages, in Chromium on a GPU that is imitated in software (`pnpm run test:browser`). */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.browser.ts'],
    testTimeout: 400_000,
    hookTimeout: 120_000,
    reporters: ['default', 'json'],
    outputFile: { json: '.cache/vitest-browser.json' },
  },
});
