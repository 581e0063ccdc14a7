/**
 * Has llama.cpp itself load GGUF files that `mariana convert` wrote, and compares what it makes of them with Mariana: the
 * greedy tokens of golden models, and the ids of a text. Brings node-llama-cpp into the cache folder of the benchmark
 * first, hundreds of megabytes, so it is no part of `npm test`.
 *
 * Run: `node scripts/llama-cpp.ts`. Exit code 1 if anything differs that should not.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheFolder } from '../bench/src/peers/cache-folder.ts';
import { nodePeers } from '../bench/src/peers/install.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const GOLDENS = join(ROOT, 'packages/goldens/fixtures');
const COUNT = 16;

/** Golden models in which llama.cpp follows the original implementations. `tiny-v2-group` is none: see docs/decisions/gguf.md. */
const MODELS = [
  'tiny-dense-moe',
  'tiny-sharded',
  'tiny-no-q-lora',
  'tiny-v2-softmax',
  'tiny-yarn',
  'tiny-yarn-mscale',
  'tiny-negbias',
  'tiny-fp8',
  'tiny-mtp',
] as const;

const run = promisify(execFile);

async function node(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, args, { cwd: ROOT, maxBuffer: 2 ** 28 });
  return stdout;
}

/** Runs Mariana's command line from its sources. */
async function mariana(...args: string[]): Promise<unknown> {
  const main = join(ROOT, 'apps/cli/src/main.ts');
  return JSON.parse(await node('--conditions=@mariana/source', main, ...args, '--json', '--quiet'));
}

/** The prompts of a golden model: I32 tensors in a safetensors file. */
async function prompts(model: string): Promise<number[][]> {
  const bytes = await readFile(join(GOLDENS, model, 'expected.safetensors'));
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, start).toString()) as Record<string, { data_offsets: [number, number] }>;
  return ['p0.input_ids', 'p1.input_ids'].flatMap((name) => {
    if (header[name] === undefined) return [];
    const [from, to] = header[name].data_offsets;
    return [Array.from({ length: (to - from) / 4 }, (_, i) => bytes.readInt32LE(start + from + 4 * i))];
  });
}

async function greedy(model: string, ids: readonly number[]): Promise<number[]> {
  const sampling = ['--max-tokens', String(COUNT), '--temperature', '0', '--weights', 'f32', '--threads', '1'];
  const answer = await mariana('generate', '--model', model, '--ids', ids.join(','), ...sampling);
  return (answer as { ids: number[] }).ids;
}

const peers = await nodePeers(cacheFolder());

async function llama<T>(file: string, wanted: object): Promise<T> {
  return JSON.parse(await node(join(ROOT, 'scripts/llama-greedy.mjs'), peers, file, JSON.stringify(wanted))) as T;
}

let failures = 0;

function tell(what: string, theirs: readonly number[], ours: readonly number[]): void {
  const common = theirs.findIndex((token, i) => token !== ours[i]);
  const same = common < 0 && theirs.length === ours.length;
  if (!same) failures++;
  const verdict = same ? 'the same' : `DIFFER after ${common < 0 ? Math.min(theirs.length, ours.length) : common}`;
  process.stdout.write(`${what.padEnd(36)} ${String(ours.length).padStart(5)} tokens ${verdict}\n`);
}

const scratch = await mkdtemp(join(tmpdir(), 'mariana-llama-cpp-'));
try {
  for (const model of MODELS) {
    const source = join(GOLDENS, model);
    const file = join(scratch, `${model}.gguf`);
    await mariana('convert', '--model', source, '--out', file, '--quant', 'f32');
    const asked = await prompts(model);
    const theirs = await llama<number[][]>(file, { prompts: asked, count: COUNT });
    for (const [i, prompt] of asked.entries()) {
      tell(`${model}, prompt ${i}`, theirs[i]!, await greedy(source, prompt));
    }
  }
  // A model with a tokenizer, learned from a text: the ids of another.
  const words = join(scratch, 'words');
  await mariana('init', '--preset', 'small', '--tokenizer', join(ROOT, 'README.md'), '--out', words);
  for (const quant of ['f16', 'bf16', 'q8_0']) {
    const file = join(scratch, `words-${quant}.gguf`);
    await mariana('convert', '--model', words, '--out', file, '--quant', quant);
    const text = await readFile(join(ROOT, 'CONTRIBUTING.md'), 'utf8');
    const score = (await mariana('score', '--model', file, '--text', text)) as { ids: number[] };
    const theirs = await llama<number[]>(file, { text });
    // Mariana puts the begin-of-text token before a text, llama.cpp's tokenizer only where it is asked to.
    tell(`a text, tokenizer in ${quant}`, theirs, score.ids.slice(score.ids.length - theirs.length));
  }
} finally {
  await rm(scratch, { recursive: true, force: true });
}
process.stdout.write(failures === 0 ? 'llama.cpp agrees\n' : `${failures} of these differ\n`);
process.exitCode = failures === 0 ? 0 : 1;
