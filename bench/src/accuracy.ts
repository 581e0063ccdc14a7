/**
 * What each weight format costs in accuracy: the logits of a checkpoint held in that format beside those of its weights
 * in F32, over texts that the model did not learn from. `pnpm bench:accuracy <model> <texts>`; a text is a line of JSONL
 * or a file, as `mariana score --data` reads them. The yardstick for INT4 is llama.cpp's Q4_0, of the same group size,
 * quantised by llama.cpp itself, which is compiled for this first if no benchmark did so yet; `--no-peers` does without.
 *
 * The measure is the mean over tokens of the Kullback-Leibler divergence of the distribution in F32 from the other one,
 * in nats, and how often both put the same token first; bits per byte say what that means for predictions.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cpu } from '@mariana/backend-cpu';
import { logSoftmax, Model } from '@mariana/runtime';
import { readDocuments } from '@mariana/train/node';
import { cacheFolder } from './peers/cache-folder.ts';
import { command } from './peers/command.ts';
import { llamaPython } from './peers/install.ts';

const FORMATS = ['f32', 'native', 'fp8', 'int8', 'int4'] as const;

/** Most tokens of a text that are looked at. */
const CONTEXT = 512;

const { positionals, values: flags } = parseArgs({
  allowPositionals: true,
  options: { 'no-peers': { type: 'boolean', default: false } },
});
const [place, ...paths] = positionals;
if (place === undefined || paths.length === 0) {
  console.error('say which model and which texts: pnpm bench:accuracy <model> <texts...>');
  process.exit(2);
}

const texts: string[] = [];
for await (const { text, isFirst } of readDocuments(paths)) {
  if (isFirst) texts.push(text);
  else texts.push(texts.pop() + text);
}

interface Sums {
  divergence: number;
  agreements: number;
  logprob: number;
}

const models = await Promise.all(
  FORMATS.map(async (weights) => Model.load(place, { backend: await cpu({ weights }) })),
);
const names: string[] = [...FORMATS];
if (!flags['no-peers']) {
  models.push(await quantizedByLlamaCpp(place));
  names.push('q4_0 of llama.cpp');
}
const { tokenizer, config } = models[0]!;
if (tokenizer === null) throw new Error(`${place} has no tokenizer`);
const vocabulary = config.vocabSize;
const sums = names.map((): Sums => ({ divergence: 0, agreements: 0, logprob: 0 }));
let [tokens, bytes] = [0, 0];
for (const text of texts) {
  const ids = tokenizer.encode(text).slice(0, CONTEXT);
  const all = await Promise.all(
    models.map(async ({ transformer }) => {
      using output = await transformer.forward(ids);
      return (await output.logits!.read()) as Float32Array;
    }),
  );
  tokens += ids.length - 1;
  bytes += new TextEncoder().encode(tokenizer.decode(ids.slice(1))).length;
  for (let t = 0; t + 1 < ids.length; t++) {
    const rows = all.map((logits) => logSoftmax(logits.slice(t * vocabulary, (t + 1) * vocabulary)));
    const exact = rows[0]!;
    const first = indexOfLargest(exact);
    for (const [f, row] of rows.entries()) {
      const sum = sums[f]!;
      for (const [id, logprob] of exact.entries()) sum.divergence += Math.exp(logprob) * (logprob - row[id]!);
      if (indexOfLargest(row) === first) sum.agreements++;
      sum.logprob += row[ids[t + 1]!]!;
    }
  }
}

console.log(`${texts.length} texts, ${tokens} tokens, ${bytes} bytes\n`);
console.log('| weights | mean KL from F32 (nats) | same first token | bits a byte |\n|---|---:|---:|---:|');
for (const [f, { divergence, agreements, logprob }] of sums.entries()) {
  const cells = [
    names[f],
    (divergence / tokens).toExponential(2),
    `${((100 * agreements) / tokens).toFixed(2)} %`,
    (-logprob / Math.LN2 / bytes).toFixed(4),
  ];
  console.log(`| ${cells.join(' | ')} |`);
}
for (const model of models) {
  model.dispose();
  model.backend.dispose();
}

/** The model as llama.cpp's Q4_0, all matrices in blocks of 32, held as the file has it. */
async function quantizedByLlamaCpp(model: string): Promise<Model> {
  const python = await llamaPython(cacheFolder());
  const folder = await mkdtemp(join(tmpdir(), 'mariana-accuracy-'));
  try {
    const [exact, quantized] = ['f16.gguf', 'q4_0.gguf'].map((name) => join(folder, name)) as [string, string];
    const sources = [
      '--conditions=@mariana/source',
      fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url)),
    ];
    await command(process.execPath, [...sources, 'convert', '--model', model, '--out', exact, '--quant', 'f16']);
    const script = fileURLToPath(new URL('subjects/llama_cpp_quantize.py', import.meta.url));
    await command(python, [script, exact, quantized]);
    return await Model.load(quantized, { backend: await cpu({ weights: 'native' }) });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function indexOfLargest(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
