/**
 * The failures that test/failures.test.ts imitates, as the real package has them: without its addon, with one that is
 * no library, with one whose library is missing, and without a GPU.
 */
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { type NodeGpuFailure, nodeGpu } from '../../src/index.ts';
import { loadPackage } from '../../src/load-package.ts';

const BUILT = process.env.MARIANA_TFJS_NODE_GPU!;
const ADDON = join('lib', 'napi-v8', 'tfjs_binding.node');

/** Copies lie beside the original, so that they find what it depends on. */
const copies: string[] = [];
afterAll(() => {
  for (const copy of copies) rmSync(copy, { recursive: true, force: true });
}, 60_000);

/** The package without addon and libraries. */
function bare(): string {
  const copy = mkdtempSync(join(dirname(BUILT), 'bare-'));
  copies.push(copy);
  cpSync(join(BUILT, 'dist'), join(copy, 'dist'), { recursive: true });
  copyFileSync(join(BUILT, 'package.json'), join(copy, 'package.json'));
  mkdirSync(dirname(join(copy, ADDON)), { recursive: true });
  return copy;
}

const load = (copy: string) => loadPackage(() => import(pathToFileURL(join(copy, 'dist', 'index.js')).href));

const unavailable = (reason: NodeGpuFailure, message: RegExp) =>
  expect.objectContaining({
    code: 'BACKEND_UNAVAILABLE',
    message: expect.stringMatching(message),
    details: expect.objectContaining({ reason }),
  });

describe('the real package', () => {
  test('without its addon', async () => {
    await expect(load(bare())).rejects.toEqual(unavailable('addon-missing', /without its native addon/));
  });

  test('with an addon that is no library', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {}); // its kernels register anew
    const copy = bare();
    writeFileSync(join(copy, ADDON), 'not a library '.repeat(1000));
    await expect(load(copy)).rejects.toEqual(unavailable('addon-broken', /tfjs_binding\.node.*invalid ELF header/));
  });

  test("with an addon that does not find TensorFlow's library", async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {});
    const copy = bare();
    copyFileSync(join(BUILT, ADDON), join(copy, ADDON));
    await expect(load(copy)).rejects.toEqual(unavailable('addon-broken', /libtensorflow\S* cannot open shared object/));
  });

  test('without a GPU it is refused unless the CPU is allowed, and computes there', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {});
    await expect(nodeGpu()).rejects.toEqual(unavailable('no-gpu', /found no CUDA device/));
    const backend = await nodeGpu({ allowCpu: true });
    expect([backend.name, backend.device]).toEqual(['node-cpu', 'cpu']);
    using x = backend.upload(Float32Array.of(3, 1, 2), [3]);
    using top = backend.topK(x, 2).values;
    expect(await top.floats()).toEqual(Float32Array.of(3, 2));
  });
});
