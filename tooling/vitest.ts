/**
 * Test settings shared by every package. Workspace packages are tested from source, through the same entry points that
 * users import (the "@mariana/source" condition of `exports`), so no build comes before a test. Each run also leaves
 * its results in `.cache/vitest.json`, from which `scripts/check.ts` counts; turbo restores that file on a cache hit.
 */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['@mariana/source'] },
  ssr: { resolve: { conditions: ['@mariana/source'], externalConditions: ['@mariana/source'] } },
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    setupFiles: [fileURLToPath(new URL('./fast-check.ts', import.meta.url))],
    testTimeout: 60_000,
    // Below this, how long a test took is noise in a log of thousands.
    slowTestThreshold: 5_000,
    reporters: ['default', 'json'],
    outputFile: { json: '.cache/vitest.json' },
  },
});
