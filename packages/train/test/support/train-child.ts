/**
 * A training run in a process of its own, so that tests can kill it: trains in the folder that is its argument, printing
 * each step and the bits of its loss.
 */
import { cpu } from '@mariana/backend-cpu';
import { type SmallRun, smallRun } from './small-run.ts';

const [folder, every, precision] = process.argv.slice(2);
const backend = await cpu({ threads: 1 });
using run = await smallRun({
  backend,
  checkpoint: { folder: folder!, every: Number(every) },
  precision: precision as SmallRun['precision'],
});
for await (const { step, loss } of run) process.stdout.write(`${step} ${loss}\n`);
backend.dispose();
