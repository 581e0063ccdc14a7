/**
 * `pnpm test:node-gpu`: the conformance suite and all goldens on the real binding of tfjs-node-gpu and the real
 * TensorFlow C library, on the CPU (lib/tensorflow-binding.ts). Needs no GPU; needs PyPI and npm the first time. Where
 * they cannot be reached, it says so and ends well.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { show } from './lib/run.ts';
import { tensorflowBinding, Unavailable } from './lib/tensorflow-binding.ts';
import { ROOT } from './lib/workspace.ts';

const packageFolder = join(ROOT, 'packages', 'backend-node-gpu');
// The results of an earlier run must not stand in for a run that did not happen.
rmSync(join(packageFolder, '.cache', 'vitest-binding.json'), { force: true });

process.exitCode = await main();

async function main(): Promise<number> {
  let binding: string;
  try {
    binding = await tensorflowBinding((line) => console.log(`test:node-gpu: ${line}`));
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    console.log(`test:node-gpu: skipped, since ${error.message}`);
    return 0;
  }
  console.log(`test:node-gpu: on the binding in ${binding}`);
  // TensorFlow's notes on what its CPU kernels were compiled for.
  const env = { ...process.env, MARIANA_TFJS_NODE_GPU: binding, TF_CPP_MIN_LOG_LEVEL: '1' };
  return (await show('pnpm', ['run', 'test:binding'], { cwd: packageFolder, env })).status;
}
