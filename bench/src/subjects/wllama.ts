/**
 * llama.cpp compiled to WebAssembly, as a page has it: wllama in headless Chromium (it needs Web Workers, which Node has
 * not). It takes texts, not tokens, and tells its own timings. Arguments: the folder of the peers, the GGUF file, the
 * number of threads, the browser.
 */
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { pathToFileURL } from 'node:url';
import { busySeconds, type Timed, timed } from '../machine.ts';
import { serve } from '../serve.ts';
import { treeSeconds } from './process-tree.ts';

const [folder = '', gguf = '', threads = '1', browserPath = ''] = process.argv.slice(2);
const modules = join(folder, 'node_modules');
const esm = join(modules, '@wllama', 'wllama', 'esm');

/** The part of playwright-core that is used here. */
interface Playwright {
  readonly chromium: { launch(options: object): Promise<Browser> };
}
interface Browser {
  newPage(): Promise<Page>;
  close(): Promise<void>;
}
interface Page {
  goto(url: string): Promise<unknown>;
  evaluate<T>(script: string): Promise<T>;
}

const TYPES: Readonly<Record<string, string>> = { '.js': 'text/javascript', '.wasm': 'application/wasm' };

/** Gives the page its library and the model, isolated so that it may have threads. */
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
  response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
  if (pathname === '/') {
    response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>wllama</title>');
    return;
  }
  const path = pathname === '/model.gguf' ? gguf : join(esm, normalize(pathname));
  try {
    response.setHeader('Content-Length', statSync(path).size);
  } catch {
    response.writeHead(404).end();
    return;
  }
  response.setHeader('Content-Type', TYPES[extname(path)] ?? 'application/octet-stream');
  createReadStream(path).pipe(response);
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

const loading = await timed(async () => {
  const { chromium } = (await import(pathToFileURL(join(modules, 'playwright-core', 'index.mjs')).href)) as Playwright;
  const browser = await chromium.launch({
    executablePath: browserPath,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking'],
  });
  const page = await browser.newPage();
  await page.goto(url);
  await page.evaluate(`(async () => {
    const { Wllama, LoggerWithoutDebug } = await import('/index.js');
    const wllama = new Wllama({ default: '/wasm/wllama.wasm' }, { logger: LoggerWithoutDebug, suppressNativeLog: true });
    const model = await (await fetch('/model.gguf')).blob();
    await wllama.loadModel([model], { n_ctx: 1024, n_batch: 512, n_threads: ${Number(threads)}, n_gpu_layers: 0 });
    globalThis.wllama = wllama;
  })()`);
  return { browser, page };
});
const { browser, page } = loading.result;

/** What llama.cpp's server says of a completion. */
interface Timings {
  readonly prompt_n: number;
  readonly prompt_ms: number;
  readonly predicted_n: number;
  readonly predicted_ms: number;
}

/** A text of as many tokens as there are `ids`: the model's tokens are bytes. */
function text(ids: readonly number[]): string {
  return ids.map((id) => String.fromCharCode(97 + (id % 26))).join('');
}

async function complete(prompt: string, tokens: number): Promise<Timings & Pick<Timed, 'otherCores'>> {
  const busy = busySeconds();
  const own = treeSeconds(process.pid);
  const start = performance.now();
  const options = { prompt, max_tokens: tokens, temperature: 0, cache_prompt: false, ignore_eos: true };
  const { timings } = await page.evaluate<{ timings: Timings }>(
    `globalThis.wllama.createCompletion(${JSON.stringify(options)})`,
  );
  const seconds = (performance.now() - start) / 1e3;
  if (busy === null || own === null) return { ...timings, otherCores: null };
  const others = busySeconds()! - busy - (treeSeconds(process.pid)! - own);
  return { ...timings, otherCores: Math.max(0, others) / seconds };
}

/** Scaled to the number of tokens that was asked for, where it counts one more or less. */
async function prefill({ ids }: { ids: number[] }) {
  const { prompt_n, prompt_ms, otherCores } = await complete(text(ids), 1);
  return { ms: (prompt_ms / prompt_n) * ids.length, otherCores };
}

async function decode({ prompt, ids }: { prompt: number[]; ids: number[] }) {
  const { predicted_n, predicted_ms, otherCores } = await complete(text(prompt), ids.length);
  return { ms: (predicted_ms / predicted_n) * ids.length, otherCores };
}

await serve({ loadMs: loading.ms, otherCores: null, about: 'wllama in headless Chromium' }, { prefill, decode });
await browser.close();
server.close();
