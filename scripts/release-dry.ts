/**
 * A release without publishing: `pnpm release:dry` builds and packs every public package, lints the tarballs (publint,
 * are-the-types-wrong), installs them with npm in an empty folder outside the workspace, and uses every entry point
 * there (smoke.mjs). So a file or a dependency that only the workspace has is found before a user finds it missing.
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkTypes, inspectInstalled, installConsumer } from './lib/consumer.ts';
import { keep, show } from './lib/run.ts';
import { publicPackages, ROOT, readManifest, type WorkspacePackage } from './lib/workspace.ts';

const problems: string[] = [];
const report = (about: string, found: readonly string[]): void => {
  for (const problem of found) problems.push(`${about}: ${problem}`);
};

const built = await show('pnpm', ['exec', 'turbo', 'run', 'build', '--output-logs=errors-only'], { cwd: ROOT });
if (built.status !== 0) {
  console.error('release:dry: the build failed (above), so nothing was packed');
  process.exit(1);
}

const work = mkdtempSync(join(tmpdir(), 'mariana-release-'));
try {
  await rehearse(work);
} finally {
  rmSync(work, { recursive: true, force: true });
}
for (const problem of problems) console.error(`problem: ${problem}`);
console.log(
  problems.length === 0 ? 'release:dry: every package is fit to publish' : `release:dry: ${problems.length} problems`,
);
process.exitCode = problems.length === 0 ? 0 : 1;

/** Packs, lints, installs and uses the packages in `folder`, and reports what is wrong with them. */
async function rehearse(folder: string): Promise<void> {
  const packages = publicPackages();
  const tarballs = new Map<string, string>();
  for (const item of packages) {
    const tarball = await pack(item, join(folder, 'tarballs'));
    tarballs.set(item.manifest.name, tarball);
    report(item.manifest.name, await lint(item, tarball));
    console.log(
      `packed ${item.manifest.name} ${item.manifest.version} (${Math.ceil(statSync(tarball).size / 1024)} KiB)`,
    );
  }

  const consumer = join(folder, 'consumer');
  await installConsumer(consumer, tarballs);
  const entries: string[] = [];
  for (const name of tarballs.keys()) {
    const installed = join(consumer, 'node_modules', name);
    report(name, inspectInstalled(installed));
    const paths = Object.keys(readManifest(installed).exports ?? {});
    entries.push(...paths.filter((path) => !/\*|\.json$/.test(path)).map((path) => name + path.slice(1)));
  }
  report('types as installed', await checkTypes(consumer, entries));

  copyFileSync(join(ROOT, 'scripts', 'smoke.mjs'), join(consumer, 'smoke.mjs'));
  const smoke = await show(process.execPath, ['smoke.mjs'], { cwd: consumer });
  if (smoke.status !== 0) report('smoke.mjs', ['an installed package does not work (above)']);
}

/** Packs a package and gives the tarball's path. */
async function pack({ folder, manifest }: WorkspacePackage, destination: string): Promise<string> {
  mkdirSync(destination, { recursive: true });
  const tarball = join(destination, `${manifest.name.replace('@', '').replace('/', '-')}.tgz`);
  const { status, output } = await keep('pnpm', ['pack', '--out', tarball], { cwd: folder });
  if (status !== 0) throw new Error(`${manifest.name} cannot be packed:\n${output}`);
  return tarball;
}

/** What publint and are-the-types-wrong have against a tarball. The latter has nothing to say of a package without exports. */
async function lint({ manifest }: WorkspacePackage, tarball: string): Promise<string[]> {
  const found: string[] = [];
  for (const linter of manifest.exports === undefined ? ['lint:package'] : ['lint:package', 'lint:types']) {
    const { status, output } = await keep('pnpm', ['run', linter, tarball], { cwd: ROOT });
    if (status !== 0) found.push(`${linter}\n${output}`);
  }
  return found;
}
