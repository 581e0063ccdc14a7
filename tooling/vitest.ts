/** Test settings shared by every package: workspace packages are tested from source, through the same entry points. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['@mariana/source'] },
  ssr: { resolve: { conditions: ['@mariana/source'], externalConditions: ['@mariana/source'] } },
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 60_000,
  },
});
