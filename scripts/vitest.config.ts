import { defineConfig, mergeConfig } from 'vitest/config';
import shared from '../tooling/vitest.ts';

export default mergeConfig(
  shared,
  defineConfig({ cacheDir: '../node_modules/.vite', test: { include: ['**/*.test.ts'] } }),
);
