/**
 * `npm start` and `npm test` on a clean clone, with no more than Node 20 and npm: makes sure of a Node and a pnpm that
 * are new enough (the machine's own, or else from the npm registry into .cache/toolchain), installs the workspace's
 * dependencies as the lockfile has them, and hands its arguments to pnpm. See docs/decisions/toolchain-bootstrap.md.
 *
 *   node scripts/bootstrap.mjs run check        the arguments are pnpm's
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, isAbsolute, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NODE_RANGE, nodeIsEnough, nodePackage, pinnedPnpm, pnpmIsEnough } from './lib/toolchain.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const TOOLCHAIN = join(ROOT, '.cache', 'toolchain');
const STAMP = join(ROOT, 'node_modules', '.mariana-installed');
const WINDOWS = process.platform === 'win32';

await main(process.argv.slice(2));

async function main(args) {
  if (args.length === 0)
    fail('nothing to do: give the arguments of pnpm, as in "node scripts/bootstrap.mjs run check"');
  const { node, env } = toolchain();
  install(node, env);
  process.exitCode = await run('pnpm', args, env);
}

/** A Node and a pnpm that are new enough: the Node's version, and the environment in which both come first. */
function toolchain() {
  const pinned = pinnedPnpm(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const folders = [];

  let node = process.version;
  if (!nodeIsEnough(node)) {
    const musl = process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime;
    const carrier = nodePackage(process.platform, process.arch, musl);
    const missing = `Node ${NODE_RANGE} is needed and this is ${node}`;
    const advice = 'install it from nodejs.org, then run this again';
    if (!carrier)
      fail(`${missing}; npm has none for ${process.platform}-${process.arch}${musl ? ' with musl' : ''}: ${advice}`);
    const bin = join(bring(carrier, missing, advice), 'bin');
    folders.push(bin);
    const brought = ask(join(bin, WINDOWS ? 'node.exe' : 'node'), ['--version'], environment([]));
    if (!brought || !nodeIsEnough(brought)) fail(`${missing}; ${carrier.name} from npm ${answer(brought)}: ${advice}`);
    node = brought;
  }

  const own = ask('pnpm', ['--version'], environment(folders));
  if (!own || !pnpmIsEnough(own, pinned)) {
    const missing = `pnpm ${pinned} is needed and this machine has ${own ?? 'none'}`;
    const advice = `install it with "npm install --global pnpm@${pinned}", then run this again`;
    const home = bring({ name: 'pnpm', version: pinned }, missing, advice);
    folders.push(home);
    const brought = ask(join(home, WINDOWS ? 'pnpm.exe' : 'pnpm'), ['--version'], environment(folders));
    if (brought !== pinned) fail(`${missing}; the one from npm ${answer(brought)}: ${advice}`);
  }
  return { node, env: environment(folders) };
}

/** The folder of an npm package, installed by npm into .cache/toolchain, whole or not at all. */
function bring({ name, version }, missing, advice) {
  const folder = join(TOOLCHAIN, `${name}@${version}`);
  const home = join('node_modules', name);
  if (existsSync(folder)) return join(folder, home);

  console.error(`mariana: ${missing}; bringing ${name}@${version} from npm into ${relative(ROOT, folder)}, once`);
  const unfinished = `${folder}.${process.pid}.tmp`;
  mkdirSync(unfinished, { recursive: true });
  writeFileSync(join(unfinished, 'package.json'), '{ "private": true }\n');
  const [npm, ...first] = process.env.npm_execpath?.endsWith('.js')
    ? [process.execPath, process.env.npm_execpath]
    : ['npm'];
  const flags = '--no-save --no-package-lock --no-audit --no-fund --ignore-scripts --include=optional --loglevel=error';
  const args = [
    ...first,
    'install',
    '--global=false',
    ...flags.split(' '),
    '--prefix',
    unfinished,
    `${name}@${version}`,
  ];
  const { status } = spawnSync(npm, args, { cwd: unfinished, stdio: ['ignore', 2, 2], shell: viaShell(npm) });
  // pnpm's install script puts its native binary in place. It is run by name, since npm 12 runs no install scripts.
  const script = join(unfinished, home, 'install.js');
  const whole = status === 0 && (!existsSync(script) || ask(process.execPath, [script], environment([])) !== undefined);
  try {
    if (whole) renameSync(unfinished, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error; // otherwise another run was faster, and its copy is as good
  }
  rmSync(unfinished, { recursive: true, force: true });
  if (!whole) fail(`${missing}; npm could not bring ${name}@${version} (see above): ${advice}`);

  for (const other of readdirSync(TOOLCHAIN)) {
    const outdated = other.startsWith(`${name}@`) && other !== `${name}@${version}` && !isUnderWay(other);
    if (outdated) rmSync(join(TOOLCHAIN, other), { recursive: true, force: true });
  }
  return join(folder, home);
}

/** Whether a folder of .cache/toolchain is being filled by a run that still lives, and was not left by one that died. */
function isUnderWay(name) {
  const [, pid] = /\.(\d+)\.tmp$/.exec(name) ?? [];
  if (pid === undefined) return false;
  try {
    return process.kill(Number(pid), 0);
  } catch (error) {
    return error.code === 'EPERM'; // it lives, and belongs to somebody else
  }
}

/** Installs the dependencies exactly as locked, unless the last run did so for the same files and the same Node. */
function install(node, env) {
  const hash = createHash('sha256').update(`${node} ${process.platform} ${process.arch}`);
  for (const path of manifests()) hash.update(`\0${path}\0`).update(readFileSync(join(ROOT, path)));
  const stamp = hash.digest('hex');
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === stamp) return;

  const { status } = spawnSync('pnpm', ['install', '--frozen-lockfile'], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 2, 2],
    shell: viaShell('pnpm'),
  });
  if (status !== 0) fail('the dependencies could not be installed (see above); nothing was run');
  writeFileSync(STAMP, stamp);
}

/** The files that decide what is installed: lockfile, settings, and the package.json of every workspace. */
function manifests() {
  const found = ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json'];
  for (const folder of ['apps', 'bench', 'examples', 'packages']) {
    if (!existsSync(join(ROOT, folder))) continue;
    found.push(join(folder, 'package.json'));
    for (const name of readdirSync(join(ROOT, folder)).sort()) found.push(join(folder, name, 'package.json'));
  }
  return found.filter((path) => existsSync(join(ROOT, path)));
}

/** Runs a program in the repository's root, on this terminal, and gives its exit status. */
function run(command, args, env) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, env, stdio: 'inherit', shell: viaShell(command) });
    // Ctrl-C reaches the child by itself; this process only has to outlive it, to report how it ended.
    process.on('SIGINT', () => {});
    process.on('SIGTERM', () => child.kill('SIGTERM'));
    child.on('error', (error) => fail(`${command} could not be started: ${error.message}`));
    child.on('close', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
}

/** The first line that a program prints, or undefined if it cannot be run or fails. */
function ask(command, args, env) {
  // Where pnpm is Corepack's shim it would ask before a download, and there may be nobody to answer.
  const options = {
    cwd: ROOT,
    env: { ...env, COREPACK_ENABLE_DOWNLOAD_PROMPT: '0' },
    shell: viaShell(command),
    timeout: 60_000,
  };
  const { status, stdout } = spawnSync(command, args, {
    ...options,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return status === 0 ? stdout.trim().split('\n')[0] : undefined;
}

/** What `ask` heard, as the end of a sentence. */
function answer(version) {
  return version ? `is ${version}` : 'does not run';
}

/** The environment of what we start: `folders` first on the path, no reporting home, no trace of the npm that ran us. */
function environment(folders) {
  const env = { ...process.env, DO_NOT_TRACK: '1', TURBO_TELEMETRY_DISABLED: '1' };
  for (const key of Object.keys(env)) {
    if (/^(npm_(lifecycle|package|command|execpath|node_execpath)|NODE$|INIT_CWD$)/.test(key)) delete env[key];
  }
  const path = Object.keys(env).find((key) => key.toUpperCase() === 'PATH') ?? 'PATH';
  env[path] = [...folders, env[path] ?? ''].join(delimiter);
  return env;
}

/** Whether a program must be started through the shell: on Windows, npm and pnpm on the path are command files. */
function viaShell(command) {
  return WINDOWS && !isAbsolute(command);
}

/** Says in one line what is missing and what to do, and ends. */
function fail(message) {
  console.error(`mariana: ${message}`);
  process.exit(1);
}
