/**
 * The same backend in a real Chromium without a window (`pnpm run test:browser`), on the WebGPU driver in software that
 * it brings. Counted by `scripts/check.ts` like the other tests.
 */
import { fileURLToPath } from 'node:url';
import { playwright } from '@vitest/browser-playwright';
import { defaultClientConditions, type Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import { findChromium, NO_CHROMIUM } from '../../tooling/chromium.ts';

const executablePath = findChromium();

/** Says it in one line. Not said when this file is loaded, which other tools do too. */
const needsChromium: Plugin = {
  name: 'mariana-needs-chromium',
  configureServer() {
    if (executablePath === undefined) throw new Error(NO_CHROMIUM);
  },
};

export default defineConfig({
  plugins: [needsChromium],
  resolve: { conditions: ['@mariana/source', ...defaultClientConditions] },
  optimizeDeps: { include: ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-webgpu'] },
  publicDir: fileURLToPath(new URL('../goldens/fixtures', import.meta.url)),
  test: {
    include: ['test/browser/*.browser.ts'],
    testTimeout: 300_000,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({
        launchOptions: {
          ...(executablePath === undefined ? {} : { executablePath }),
          args: [
            '--no-sandbox',
            '--enable-unsafe-webgpu',
            '--use-webgpu-adapter=swiftshader',
            // Leaves zeroing memory of workgroups to a loop, as src/device/find-gpu.ts does in Node: compiling is far shorter.
            '--disable-dawn-features=use_vulkan_zero_initialize_workgroup_memory_extension',
            // A driver in software may take seconds over a kernel on a busy machine; the device would be lost.
            '--disable-gpu-watchdog',
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
    fileParallelism: false,
    reporters: ['default', 'json'],
    outputFile: { json: '.cache/vitest-browser.json' },
  },
});
