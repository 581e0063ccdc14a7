/**
 * Builds the real binding of tfjs-node-gpu without CUDA and without a download by its own install script: the C library
 * comes out of the `tensorflow-cpu` wheel on PyPI, and the addon is compiled from the sources in the npm package. All of
 * it is kept outside the repository, in a folder named after the versions, and made whole or not at all.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { keep } from './run.ts';

/** The npm packages: the binding, and the headers of the interface that its addon is written against. */
const NPM = { '@tensorflow/tfjs-node-gpu': '4.22.0', 'node-api-headers': '1.9.0' };

/**
 * A wheel whose library and headers the addon's sources compile against. With its hash, so that a mirror cannot hand out
 * another one.
 */
const WHEEL = {
  name: 'tensorflow-cpu',
  version: '2.15.1',
  sha256: '54660c074d7241a503e81edfd9f5ef5af88f64051b72e2945f26318c790f2d26',
  target: ['--python-version=3.11', '--implementation=cp', '--abi=cp311', '--platform=manylinux_2_17_x86_64'],
};

const MODULE = join('node_modules', '@tensorflow', 'tfjs-node-gpu');
const ADDON = join('lib', 'napi-v8', 'tfjs_binding.node');

/** Takes out of a wheel, into a folder, the C library and the headers of its interface. */
const UNPACK = `
import sys, zipfile
wheel, folder = sys.argv[1:]
headers = tuple('tensorflow/include/' + part for part in ('tensorflow/c/', 'tensorflow/core/platform/', 'tsl/', 'external/local_tsl/tsl/'))
libraries = ('tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2')
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(folder, [name for name in archive.namelist() if name in libraries or name.startswith(headers)])
`;

/** Something that is not here, and without which the binding cannot be built: a reason to skip, not a failure. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
}

/** Where what was fetched and built is kept: `XDG_CACHE_HOME`, or else `~/.cache`. */
export function bindingFolder(env: NodeJS.ProcessEnv = process.env): string {
  const base = env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(base, 'mariana-node-gpu', `tfjs-${NPM['@tensorflow/tfjs-node-gpu']}-tensorflow-${WHEEL.version}`);
}

/**
 * The folder of a tfjs-node-gpu that works, built now unless an earlier run did.
 *
 * @param say - Told what is under way.
 * @throws Unavailable where this machine, PyPI or npm does not have what it takes.
 * @throws Error where something was fetched and is wrong.
 */
export async function tensorflowBinding(say: (line: string) => void): Promise<string> {
  const folder = bindingFolder();
  if (!existsSync(join(folder, MODULE, ADDON))) {
    if (process.platform !== 'linux' || process.arch !== 'x64') {
      throw new Unavailable(`the wheel that is used is for linux-x64, and this is ${process.platform}-${process.arch}`);
    }
    const unfinished = `${folder}.${process.pid}.tmp`;
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(unfinished, { recursive: true });
    try {
      await build(unfinished, say);
      // Another run may have been faster; its copy is as good.
      if (!existsSync(join(folder, MODULE, ADDON))) renameSync(unfinished, folder);
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
  return join(folder, MODULE);
}

async function build(folder: string, say: (line: string) => void): Promise<void> {
  await need('g++', ['--version'], 'a C++ compiler (apt-get install g++)');
  await need('python3', ['-m', 'pip', '--version'], 'pip (apt-get install python3-pip)');

  say(`fetching ${WHEEL.name} ${WHEEL.version} from PyPI (207 MB), once`);
  const requirements = join(folder, 'requirements.txt');
  writeFileSync(requirements, `${WHEEL.name}==${WHEEL.version} --hash=sha256:${WHEEL.sha256}\n`);
  const quick = ['--retries=2', '--timeout=30', '--disable-pip-version-check', '--no-cache-dir', '--progress-bar=off'];
  const fetched = await keep(
    'python3',
    ['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', ...WHEEL.target, ...quick, '-r', requirements],
    { cwd: folder },
  );
  if (fetched.status !== 0) throw refusal('PyPI', fetched.output);

  const wheel = `tensorflow_cpu-${WHEEL.version}-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl`;
  await succeed('python3', ['-c', UNPACK, wheel, folder], folder);
  rmSync(join(folder, wheel));

  say('fetching tfjs-node-gpu from npm, without its install script');
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies: NPM }));
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'];
  const installed = await keep('npm', ['install', ...quiet], { cwd: folder });
  if (installed.status !== 0) throw refusal('npm', installed.output);

  say('compiling its addon against the library of the wheel');
  const module = join(folder, MODULE);
  const libraries = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'];
  mkdirSync(join(module, 'deps', 'lib'), { recursive: true });
  for (const name of libraries) renameSync(join(folder, 'tensorflow', name), join(module, 'deps', 'lib', name));
  mkdirSync(join(module, 'lib', 'napi-v8'), { recursive: true });
  await succeed(
    'g++',
    [
      // As binding.gyp has it, but for the names of the libraries.
      ...['-std=c++17', '-O1', '-fPIC', '-shared', '-w', '-DNAPI_VERSION=8'],
      `-I${join(folder, 'node_modules', 'node-api-headers', 'include')}`,
      `-I${join(folder, 'tensorflow', 'include')}`,
      ...['binding/tfjs_backend.cc', 'binding/tfjs_binding.cc'],
      ...libraries.map((name) => join('deps', 'lib', name)),
      // A function that the library lacks is an error now and not, as by default, the end of the process when called.
      ...['-Wl,-rpath,$ORIGIN/../../deps/lib', '-Wl,-z,now'],
      ...['-o', ADDON],
    ],
    module,
  );
  rmSync(join(folder, 'tensorflow'), { recursive: true });
}

/** A program that must be there. */
async function need(command: string, args: readonly string[], what: string): Promise<void> {
  const { status } = await keep(command, args, { cwd: '.' }).catch(() => ({ status: 1 }));
  if (status !== 0) throw new Unavailable(`it takes ${what}`);
}

async function succeed(command: string, args: readonly string[], cwd: string): Promise<void> {
  const { status, output } = await keep(command, args, { cwd });
  if (status !== 0) throw new Error(`${command} failed:\n${output}`);
}

/** A registry that gave nothing: out of reach, or else (a wrong hash, a package that is gone) something to be seen to. */
export function refusal(registry: string, output: string): Error {
  const lines = output.split('\n').map((line) => line.trim());
  const unreachable = lines.find((line) =>
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT|EHOSTUNREACH|NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|MaxRetryError|Connection (broken|refused|reset|timed out)|SSLError|HTTP error 5\d\d/.test(
      line,
    ),
  );
  if (unreachable !== undefined && !/DO NOT MATCH THE HASHES|EINTEGRITY/.test(output)) {
    return new Unavailable(`${registry} cannot be reached (${unreachable.slice(0, 200)})`);
  }
  return new Error(`${registry} did not give what was asked for:\n${output}`);
}
