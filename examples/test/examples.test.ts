/** Every example runs as a reader would run it, and the README shows them as they are. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { readmeExamples } from '../../tooling/readme.ts';

const ROOT_README = new URL('../../README.md', import.meta.url);

async function run(example: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const file = fileURLToPath(new URL(`../${example}/index.ts`, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@mariana/source', file, ...args], {
    env: { ...process.env, ...env },
  });
  return stdout;
}

/** The Vulkan driver in software that comes with Chromium; a machine with a driver of its own keeps that. */
const CHROMIUM = '/usr/lib/chromium';
const SOFTWARE_GPU = { VK_ICD_FILENAMES: `${CHROMIUM}/vk_swiftshader_icd.json`, LD_LIBRARY_PATH: CHROMIUM };
const noGpu = !existsSync(SOFTWARE_GPU.VK_ICD_FILENAMES);

test('generate streams text, the same for the same seed', async () => {
  const text = await run('generate');
  expect(text.length).toBeGreaterThan(10);
  expect(await run('generate')).toBe(text);
});

test('one-layer attends alone', async () => {
  expect(await run('one-layer')).toBe('[ 3, 64 ] [ 1, 64 ] 4 tokens cached, 40 numbers each\n');
});

test('swap-backend gives the same numbers', async () => {
  expect(await run('swap-backend')).toBe('256 logits, at most 1e-5 apart\n');
});

test('tfjs-program takes and gives tensors of tfjs', async () => {
  expect(await run('tfjs-program')).toBe('true [ 5, 64 ] [ 5, 64 ]\n');
});

test('three-backends generates on the CPU, and refuses a name that is none', async () => {
  const ids = await run('three-backends');
  expect(ids).toMatch(/^(\d+ ){7}\d+\n$/);
  expect(await run('three-backends', ['cpu'])).toBe(ids);
  await expect(run('three-backends', ['abacus'])).rejects.toThrow(/name one of cpu, webgpu, node-gpu/);
});

// That it does so in TensorFlow's C library is tested with that: packages/backend-node-gpu/test/binding.
test.skipIf(noGpu)(
  `three-backends generates the same on WebGPU${noGpu ? ` (skipped: no ${CHROMIUM})` : ''}`,
  async () => {
    expect(await run('three-backends', ['webgpu'], SOFTWARE_GPU)).toBe(await run('three-backends', ['cpu']));
  },
  // Two programs, one with shaders to compile on the CPU.
  240_000,
);

test.each(['generate', 'one-layer', 'swap-backend'])('the README shows %s as it is', async (example) => {
  const source = await readFile(new URL(`../${example}/index.ts`, import.meta.url), 'utf8');
  expect(await readmeExamples(ROOT_README)).toContain(source.slice(source.indexOf('import')));
});

test('the README shows nothing else', async () => {
  expect(await readmeExamples(ROOT_README)).toHaveLength(3);
});
