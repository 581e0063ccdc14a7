/**
 * Tests on the real engine, against the tfjs-node-gpu that MARIANA_TFJS_NODE_GPU names (its folder, addon built). No one
 * sets it by hand: `pnpm test:node-gpu` (scripts/test-node-gpu.ts) builds such a folder and runs this.
 */
import { defineConfig } from 'vitest/config';
import shared from '../../tooling/vitest.ts';

const folder = process.env.MARIANA_TFJS_NODE_GPU;

export default defineConfig({
  ...shared,
  resolve: {
    ...shared.resolve,
    alias: folder === undefined ? {} : { '@tensorflow/tfjs-node-gpu': `${folder}/dist/index.js` },
  },
  test: {
    ...shared.test,
    include: ['test/binding/**/*.binding.ts'],
    // A process for each file, since the library can be neither unloaded nor started twice; one at a time.
    pool: 'forks',
    maxWorkers: 1,
    outputFile: { json: '.cache/vitest-binding.json' },
  },
});
