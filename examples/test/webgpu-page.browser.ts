/** The page with WebGPU, served as a reader would serve it, computes what the CPU computes. */
import { fileURLToPath } from 'node:url';
import { cpu } from '@mariana/backend-cpu';
import { preset, RandomWeights } from '@mariana/core';
import { MultiHeadLatentAttention } from '@mariana/layers';
import { type Browser, chromium } from 'playwright';
import { createServer, type ViteDevServer } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findChromium, NO_CHROMIUM } from '../../tooling/chromium.ts';

let server: ViteDevServer;
let browser: Browser;

beforeAll(async () => {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error(NO_CHROMIUM);
  const root = fileURLToPath(new URL('../webgpu-page', import.meta.url));
  server = await createServer({ root, configFile: `${root}/vite.config.ts`, server: { port: 0 }, logLevel: 'error' });
  await server.listen();
  browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-quic', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
  });
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

test('webgpu-page computes, and says what', async () => {
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(server.resolvedUrls!.local[0]!, { waitUntil: 'commit', timeout: 120_000 });
  await page.waitForFunction(() => /\.\.\.$|Error/.test(document.getElementById('said')?.textContent ?? ''), null, {
    timeout: 240_000,
  });
  const said = (await page.textContent('#said'))?.split('\n') ?? [];
  expect(errors).toEqual([]);
  expect(said[0]).toBe('64,64 and 1,64 on webgpu, 65 tokens cached');

  const shown = said[1]!.split(' ').slice(0, 4).map(Number);
  const expected = (await onTheCpu()).slice(0, 4);
  for (const [i, value] of expected.entries()) expect(Math.abs(shown[i]! - value)).toBeLessThan(1e-4);
});

/** The last row of the page's program, without the page. */
async function onTheCpu(): Promise<Float32Array> {
  using backend = await cpu({ threads: 1 });
  const config = preset('tiny');
  using attention = await MultiHeadLatentAttention.load(config, new RandomWeights(config), { layer: 1, backend });
  using cache = attention.createCache({ tokens: 256 });
  using prompt = backend.upload(new Float32Array(64 * config.hiddenSize).fill(0.1), [64, config.hiddenSize]);
  using y = await attention.forward(prompt, { cache });
  y.assertAlive();
  using next = backend.upload(new Float32Array(config.hiddenSize).fill(0.2), [1, config.hiddenSize]);
  using z = await attention.forward(next, { cache });
  return z.floats();
}
