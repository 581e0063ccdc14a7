/**
 * llama.cpp as a JavaScript program gets it: node-llama-cpp with its prebuilt library. Arguments: the folder of the
 * peers, the GGUF file, the number of threads.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { time, timed } from '../machine.ts';
import { peakMemory, serve } from '../serve.ts';

const [folder = '', modelPath = '', threads = '1'] = process.argv.slice(2);
const home = join(folder, 'node_modules', 'node-llama-cpp');

/** The part of node-llama-cpp that is used here. */
interface NodeLlamaCpp {
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<LlamaModel> }>;
}
interface LlamaModel {
  createContext(options: object): Promise<{ getSequence(): Sequence }>;
}
interface Sequence {
  clearHistory(): Promise<void>;
  evaluate(tokens: number[], options: object): AsyncIterable<number>;
}

const loading = await timed(async () => {
  const { getLlama } = (await import(pathToFileURL(join(home, 'dist', 'index.js')).href)) as NodeLlamaCpp;
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: Number(threads), logLevel: 'error' });
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize: 1024, batchSize: 512, threads: Number(threads) });
  return context.getSequence();
});
const sequence = loading.result;

/** The next `count` tokens after a prompt; the likeliest, so that choosing takes next to no time. */
async function take(prompt: number[], count: number): Promise<number> {
  let taken = 0;
  let last = -1;
  for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    last = token;
    if (++taken === count) break;
  }
  if (taken < count) throw new Error(`node-llama-cpp stopped after ${taken} of ${count} tokens`);
  return last;
}

async function prefill({ ids }: { ids: number[] }) {
  await sequence.clearHistory();
  return await time(() => take(ids, 1));
}

/** As many tokens as there are `ids`; which ones is up to the model here. */
async function decode({ prompt, ids }: { prompt: number[]; ids: number[] }) {
  await sequence.clearHistory();
  const first = await take(prompt, 1);
  return await time(() => take([first], ids.length));
}

const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { version: string };
await serve(
  { loadMs: loading.ms, otherCores: loading.otherCores, about: `node-llama-cpp ${version}` },
  { prefill, decode, memory: peakMemory },
);
process.exit(0);
