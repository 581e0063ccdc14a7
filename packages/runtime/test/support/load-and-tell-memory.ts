/** Run in a process of its own: loads a model on the CPU backend and tells how much memory the process had at most. */
import { cpu } from '@mariana/backend-cpu';
import { Model } from '../../src/index.ts';

const [folder = '', weights = 'native'] = process.argv.slice(2);
const peak = () => process.resourceUsage().maxRSS * 1024;

const backend = await cpu({ threads: 2, weights: weights as 'native' | 'int8' });
const before = peak();
const model = await Model.load(folder, { backend });
process.stdout.write(JSON.stringify({ grown: peak() - before, held: backend.memory().bytes }));
model.dispose();
backend.dispose();
