/**
 * Compiles the kernels of `assembly/` three times (relaxed SIMD, SIMD, scalar) and writes them, compressed and in
 * base64, to `src/wasm/generated/kernels.ts`, so that neither Node nor a page has a file to find. The result is
 * committed: the sources work without a build, and a hash in it says which sources it was made from. Nothing is done
 * while that hash is right; `--force` compiles anyway, `--check` only tells.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const assembly = join(root, 'assembly');
const generated = join(root, 'src/wasm/generated/kernels.ts');
const compiler = join(root, 'node_modules/assemblyscript');

const COMMON =
  '-O3 --noAssert --runtime stub --importMemory --sharedMemory --initialMemory 1 --maximumMemory 65536 --memoryBase 64 --enable threads --disableWarning 112';
const BUILDS = { relaxed: '--enable simd --enable relaxed-simd', simd: '--enable simd', scalar: '' };

/** The hash of what the kernels are made from: sources, options and the compiler's version. */
export function sourceHash(): string {
  const hash = createHash('sha256');
  const { version } = JSON.parse(readFileSync(join(compiler, 'package.json'), 'utf8')) as { version: string };
  hash.update(JSON.stringify([version, COMMON, BUILDS]));
  for (const name of readdirSync(assembly).sort()) {
    if (name.endsWith('.ts')) hash.update(`${name}\0${readFileSync(join(assembly, name), 'utf8')}\0`);
  }
  return hash.digest('hex');
}

/** Compiles one build and gives the module's bytes. */
export function compile(build: keyof typeof BUILDS): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'mariana-kernels-'));
  try {
    const out = join(folder, 'kernels.wasm');
    const options = `${COMMON} ${BUILDS[build]}`.trim().split(' ');
    execFileSync(process.execPath, [join(compiler, 'bin/asc.js'), join(assembly, 'index.ts'), '-o', out, ...options], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    return readFileSync(out);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function main(): void {
  const hash = sourceHash();
  let current = '';
  try {
    current = /SOURCE_HASH = '(\w+)'/.exec(readFileSync(generated, 'utf8'))?.[1] ?? '';
  } catch {
    // Not there yet: it is made below.
  }
  const fresh = current === hash;
  if (process.argv.includes('--check')) {
    if (!fresh)
      throw new Error('src/wasm/generated/kernels.ts is out of date: run `pnpm kernels` in packages/backend-cpu.');
    return;
  }
  if (fresh && !process.argv.includes('--force')) return;
  const lines = Object.keys(BUILDS).map((name) => {
    const wasm = compile(name as keyof typeof BUILDS);
    return `  // ${wasm.length} bytes\n  ${name}: '${gzipSync(wasm, { level: 9 }).toString('base64')}',`;
  });
  const text = `/** Made by scripts/build-kernels.ts from assembly/: the kernel modules, gzip in base64. Do not edit. */\nexport const SOURCE_HASH = '${hash}';\n\nexport const KERNELS = {\n${lines.join('\n')}\n} as const;\n`;
  mkdirSync(dirname(generated), { recursive: true });
  writeFileSync(generated, text);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
