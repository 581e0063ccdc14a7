/**
 * Brings the peers, once, into the cache folder: npm packages, and a Python environment in which llama.cpp is compiled
 * for this machine. Versions are pinned, so that numbers can be compared with those of another day.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { note } from '../run-group.ts';
import { command } from './command.ts';
import { once } from './once.ts';

const NODE_LLAMA_CPP = '3.22.1';
const TFJS = '4.22.0';
const WLLAMA = '3.8.1';
const PLAYWRIGHT = '1.65.1';
const LLAMA_CPP_PYTHON = '0.3.36';

/** Packages from npm, without what they would bring for other systems and for GPUs. */
const PACKAGES = [
  `node-llama-cpp@${NODE_LLAMA_CPP}`,
  `@tensorflow/tfjs-core@${TFJS}`,
  `@tensorflow/tfjs-backend-cpu@${TFJS}`,
  `@tensorflow/tfjs-backend-wasm@${TFJS}`,
  `@wllama/wllama@${WLLAMA}`,
  `playwright-core@${PLAYWRIGHT}`,
];

/** A folder with the npm packages. @throws Error if npm fails */
export async function nodePeers(folder: string): Promise<string> {
  const native = `@node-llama-cpp/${systemName()}@${NODE_LLAMA_CPP}`;
  const packages = [...PACKAGES, native];
  const versions = createHash('sha256').update(packages.join()).digest('hex').slice(0, 8);
  return await once(join(folder, `node-${versions}`), async (home) => {
    note(`installing ${packages.join(', ')}`);
    await writeFile(join(home, 'package.json'), '{ "private": true }\n');
    const flags = ['--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund', '--loglevel=error'];
    await command('npm', ['install', ...flags, ...packages], { cwd: home });
  });
}

/** A Chromium for the peer that needs a page. @throws Error if there is none */
export function chromium(): string {
  const { MARIANA_CHROMIUM } = process.env;
  const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  const found = MARIANA_CHROMIUM || places.find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new Error('there is no Chromium; install it, or say in MARIANA_CHROMIUM where it is');
}

/** How node-llama-cpp names its prebuilt package for this system. */
function systemName(): string {
  const systems: Readonly<Record<string, string>> = { linux: 'linux', darwin: 'mac', win32: 'win' };
  const suffix = platform() === 'darwin' && arch() === 'arm64' ? '-metal' : '';
  return `${systems[platform()] ?? platform()}-${arch()}${suffix}`;
}

/**
 * A Python with llama.cpp, compiled here with all that this processor can do. Takes minutes, and needs Python 3 with
 * `venv`, and a C++ compiler.
 *
 * @throws Error that says what failed
 */
export async function llamaPython(folder: string): Promise<string> {
  const home = await once(join(folder, `python-${LLAMA_CPP_PYTHON}`), async (home) => {
    note(`compiling llama.cpp (llama-cpp-python ${LLAMA_CPP_PYTHON}); this takes a while`);
    await command('python3', ['-m', 'venv', home]);
    await command(
      join(home, 'bin', 'pip'),
      ['install', '--no-binary', 'llama-cpp-python', `llama-cpp-python==${LLAMA_CPP_PYTHON}`],
      { env: { CMAKE_ARGS: '-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF' } },
    );
  });
  return join(home, 'bin', 'python');
}
