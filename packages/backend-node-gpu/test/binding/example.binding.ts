/** The example that runs on three backends (examples/three-backends): in TensorFlow's C library it gives what the CPU gives. */
import { execFile } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const EXAMPLE = fileURLToPath(new URL('../../../../examples/three-backends/index.ts', import.meta.url));

/** Has the built package stand where a reader would have installed it. */
const INSTALLED = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  const url = ${JSON.stringify(pathToFileURL(`${process.env.MARIANA_TFJS_NODE_GPU}/dist/index.js`).href)};
  registerHooks({
    resolve: (name, context, next) =>
      name === '@tensorflow/tfjs-node-gpu' ? { url, format: 'commonjs', shortCircuit: true } : next(name, context),
  });
`)}`;

async function run(backend: string): Promise<string> {
  const args = ['--conditions=@mariana/source', '--import', INSTALLED, EXAMPLE, backend];
  return (await promisify(execFile)(process.execPath, args)).stdout;
}

test('three-backends generates the same on node-gpu as on the CPU', async () => {
  const ids = await run('node-gpu');
  expect(ids).toMatch(/^(\d+ ){7}\d+\n$/);
  expect(await run('cpu')).toBe(ids);
}, 180_000);
