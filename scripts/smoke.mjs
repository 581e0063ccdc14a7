/**
 * Runs in a project that has nothing but the packed packages (scripts/release-dry.ts copies it there): imports every
 * entry point of each, starts every command, and then does one real thing with each package that has one below.
 * Optional peer dependencies are absent there, so nothing may need them merely to be imported.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * One real thing that each package must do once installed. A function gets the module of the package's main entry and
 * throws if the thing does not work; a package that is not here is only imported.
 *
 * @type {Record<string, (module: any) => unknown>}
 */
const uses = {
  '@mariana/core': (core) => {
    const error = new core.MarianaError('USAGE', 'one\nline');
    expect(
      core.isMarianaError(error) && error.code === 'USAGE' && error.message === 'one line',
      'errors keep their code',
    );
  },
};

const names = Object.keys(manifestOf('.').dependencies);
let failures = 0;
for (const name of names) {
  const { exports = {}, bin = {} } = manifestOf(join('node_modules', name));
  const entries = Object.keys(exports).filter((path) => !/\*|\.json$/.test(path));
  for (const entry of entries) {
    await attempt(`import ${name}${entry.slice(1)}`, async () => {
      expect(Object.keys(await import(name + entry.slice(1))).length > 0, 'the entry point exports nothing');
    });
  }
  for (const [command, file] of Object.entries(bin)) {
    await attempt(`${command} --help`, () => {
      const printed = execFileSync(process.execPath, [join('node_modules', name, file), '--help'], {
        encoding: 'utf8',
      });
      expect(printed.includes(command), 'the help does not name the command');
    });
  }
  const use = uses[name];
  if (use) await attempt(`use ${name}`, async () => use(await import(name)));
}
for (const name of Object.keys(uses)) {
  if (!names.includes(name)) await attempt(name, () => expect(false, 'smoke.mjs uses a package that is not installed'));
}
console.log(failures === 0 ? 'smoke: all works as installed' : `smoke: ${failures} failed`);
process.exitCode = failures === 0 ? 0 : 1;

async function attempt(what, action) {
  try {
    await action();
  } catch (error) {
    failures++;
    console.error(`FAILED ${what}: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
  }
}

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}
