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
    const config = core.preset('deepseek-v3');
    expect(Math.round(core.countParameters(config).total / 1e7) === 67103, 'DeepSeek-V3 has 671.03 B parameters');
    expect(core.kvCacheBytesPerToken(config) === 70272, 'its cache takes 70272 bytes a token');
    expect(
      codeOf(() => core.parseConfig({ model_type: 'deepseek_v3' })) === 'CONFIG_INVALID',
      'a bad config is refused',
    );
  },
  '@mariana/backend-reference': ({ reference }) => multiplies(reference()),
  '@mariana/backend-cpu': async ({ cpu }) => {
    const backend = await cpu({ threads: 2 });
    await multiplies(backend);
    backend.dispose();
  },
  '@mariana/backend-node-gpu': async ({ nodeGpu }) => {
    const error = await nodeGpu().catch((error) => error);
    expect(error.code === 'BACKEND_UNAVAILABLE', 'it says so where TensorFlow is not installed');
    expect(error.details.reason === 'package-missing', 'and that this is why');
  },
  '@mariana/auto-backend': async ({ autoBackend }) => {
    const backend = await autoBackend({ threads: 2 });
    await multiplies(backend);
    backend.dispose();
  },
  '@mariana/backend-conformance': async ({ conformanceCases }) => {
    const { reference } = await import('@mariana/backend-reference');
    const suite = conformanceCases({ name: 'reference', create: () => reference(), only: 'topK', numRuns: 2 });
    expect(suite.cases.length > 0, 'there are cases');
    for (const { run } of suite.cases) await run();
    await suite.dispose();
  },
  '@mariana/model-stories': async ({ storiesModel, storiesFiles }) => {
    const sizes = storiesFiles.map((name) => readFileSync(new URL(name, storiesModel)).length);
    expect(
      sizes.every((size) => size > 0),
      'its files are all there',
    );
    const told = execFileSync('npx', [
      '--no-install',
      'mariana',
      'generate',
      '--prompt',
      'Once',
      '--max-tokens',
      '9',
      '-q',
    ]);
    expect(told.length > 10, 'the program tells a story with it');
  },
  '@mariana/layers': async ({ MultiHeadLatentAttention }) => {
    const { preset, RandomWeights } = await import('@mariana/core');
    const { reference } = await import('@mariana/backend-reference');
    const config = preset('tiny');
    const backend = reference();
    const options = { layer: 1, backend };
    const attention = await MultiHeadLatentAttention.load(config, new RandomWeights(config), options);
    const x = backend.upload(new Float32Array(3 * config.hiddenSize).fill(0.1), [3, config.hiddenSize]);
    expect(
      (await attention.forward(x)).shape.join() === `3,${config.hiddenSize}`,
      'attention gives a row for each token',
    );
  },
  '@mariana/tokenizer': async ({ Tokenizer, trainBpe }) => {
    const tokenizerJson = await trainBpe(['the cat sat on the mat'], { vocabSize: 270, specialTokens: ['<s>'] });
    const tokenizer = Tokenizer.fromFiles({ tokenizerJson });
    const text = 'the 🐈 sat';
    expect(tokenizer.decode(tokenizer.encode(text)) === text, 'text comes back from its tokens');
  },
  '@mariana/runtime': async ({ Model }) => {
    const { reference } = await import('@mariana/backend-reference');
    const model = await Model.load('tiny', { backend: reference() });
    const ids = [];
    for await (const { id } of model.session().generate([1, 2, 3], { maxTokens: 4, temperature: 0 })) ids.push(id);
    expect(ids.length > 0 && ids.every(Number.isInteger), 'tokens are generated');
  },
  '@mariana/train': async ({ autodiff }) => {
    const { reference } = await import('@mariana/backend-reference');
    const backend = autodiff(reference());
    const w = backend.parameter(backend.upload(Float32Array.of(1, 2, 3, 4), [2, 2]));
    const y = backend.matmul(backend.upload(Float32Array.of(1, 1), [1, 2]), w, { transposeB: true });
    const loss = backend.reduce('sum', backend.reshape(backend.binary('mul', y, y), [2]), 0);
    const gradient = await backend.backward(loss).get(w).read();
    expect([...gradient].join() === '6,6,14,14', 'the gradient of |w x|^2 is 2 y x^T');
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

/** Swaps the columns of a matrix by a product, on any backend. */
async function multiplies(backend) {
  const a = backend.upload(Float32Array.of(1, 2, 3, 4), [2, 2]);
  const b = backend.upload(Float32Array.of(0, 1, 1, 0), [2, 2]);
  const product = await backend.matmul(a, b).read();
  expect([...product].join() === '2,1,4,3', 'a product of matrices is right');
}

function codeOf(action) {
  try {
    action();
  } catch (error) {
    return error.code;
  }
}

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

function manifestOf(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}
