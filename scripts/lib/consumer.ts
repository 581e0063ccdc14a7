/**
 * An empty project outside the workspace with the packed packages installed by npm, as a user would have them, and the
 * checks that only such a place can make: what is published refers to nothing that was left at home.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import ts from 'typescript';
import { keep } from './run.ts';
import { type Manifest, ROOT, readManifest, targets } from './workspace.ts';

/** Makes the project at `folder` and installs `tarballs` (package name to file) into it. Throws with npm's output. */
export async function installConsumer(folder: string, tarballs: ReadonlyMap<string, string>): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const dependencies = Object.fromEntries([...tarballs].map(([name, file]) => [name, `file:${file}`]));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies }, null, 2));
  // pnpm's settings must not reach npm; what a person has set to get at a registry must.
  const wanted = /^npm_config_(registry|cache|userconfig|cafile|https?_proxy|proxy)$/i;
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !/^p?npm_/i.test(key) || wanted.test(key)),
  );
  const flags = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  const { status, output } = await keep('npm', ['install', ...flags], { cwd: folder, env });
  if (status !== 0) throw new Error(`npm could not install the packed packages:\n${output}`);
}

/** Finds fault with an installed package: imports that it does not declare, traces of the workspace, missing papers. */
export function inspectInstalled(folder: string): string[] {
  const manifest = readManifest(folder);
  const problems: string[] = [];
  // Scripts are for us, and no part of what a user's tools read.
  const text = JSON.stringify({ ...manifest, scripts: undefined });
  for (const trace of ['workspace:', '@mariana/source', './src/']) {
    if (text.includes(trace)) problems.push(`package.json as packed still has "${trace}"`);
  }
  for (const [specifier, target] of Object.entries(manifest.imports ?? {})) {
    for (const { file } of targets(target)) {
      if (file.startsWith('.') && !existsSync(join(folder, file))) {
        problems.push(`${specifier} leads to ${file}, which is not in the package`);
      }
    }
  }
  for (const paper of ['LICENSE', 'README.md']) {
    if (!existsSync(join(folder, paper))) problems.push(`${paper} is not in the package`);
  }
  for (const file of codeFiles(folder)) {
    for (const name of undeclaredImports(readFileSync(join(folder, file), 'utf8'), manifest)) {
      problems.push(`${file} imports ${name}, which is in neither dependencies nor peerDependencies`);
    }
  }
  return problems;
}

/** The packages that a module imports, in code or in types, without their being declared by its package. */
export function undeclaredImports(code: string, manifest: Manifest): string[] {
  const declared = new Set([
    manifest.name,
    ...Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies, ...manifest.optionalDependencies }),
  ]);
  const names = ts
    .preProcessFile(code, true, true)
    .importedFiles.map(({ fileName }) => fileName)
    .filter((specifier) => !specifier.startsWith('.') && !isBuiltin(specifier))
    .filter((specifier) => manifest.imports?.[specifier] === undefined)
    .map((specifier) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'));
  return [...new Set(names)].filter((name) => !declared.has(name));
}

/** Type-checks a program that imports every entry point, declarations included. Gives the compiler's errors about ours. */
export async function checkTypes(folder: string, entries: readonly string[]): Promise<string[]> {
  const imports = entries.map((entry, index) => `import * as entry${index} from '${entry}';`);
  const uses = `export default [${entries.map((_, index) => `entry${index}`).join(', ')}];`;
  writeFileSync(join(folder, 'consumer.ts'), `${imports.join('\n')}\n${uses}\n`);
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2024',
    lib: ['es2024', 'esnext.disposable', 'esnext.float16', 'dom', 'dom.iterable'],
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }, null, 2));
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const { status, output } = await keep(process.execPath, [tsc, '--pretty', 'false', '-p', folder], { cwd: folder });
  if (status === 0) return [];
  // Faults in declarations of other people's packages are not ours to report, unless nothing else explains the failure.
  const lines = output.split('\n').filter((line) => /error TS\d+/.test(line));
  const ours = lines.filter((line) => /^consumer\.ts|^node_modules[\\/]@mariana[\\/]|^error/.test(line));
  return ours;
}

function codeFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(?:m?js|d\.m?ts)$/.test(file) && !/(?:^|[\\/])node_modules[\\/]/.test(file))
    .sort();
}
