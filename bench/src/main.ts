/** `pnpm bench`: brings models and peers, measures group by group, prints tables and writes JSON. See docs/performance.md. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { draftSpecs } from './draft-specs.ts';
import { goals } from './goals.ts';
import { machine } from './machine.ts';
import { modelFiles, warm } from './model-files.ts';
import { type GroupName, HELP, type Options, parseOptions } from './options.ts';
import { cacheFolder } from './peers/cache-folder.ts';
import { chromium, llamaPython, nodePeers } from './peers/install.ts';
import { torchPython } from './peers/torch.ts';
import { report } from './report.ts';
import { Results } from './results.ts';
import { note, runGroup, type Spec } from './run-group.ts';
import { browserSpecs, contextSpecs, formatSpecs, loadSpecs, modelSpecs, type Parts, productSpecs } from './specs.ts';
import { trainFiles } from './train-files.ts';
import { trainSpecs } from './train-specs.ts';

/** Groups of the large model; training and drafts have small ones of their own. */
const SPECS: Readonly<Record<LargeGroup, (parts: Parts) => Spec[]>> = {
  model: modelSpecs,
  formats: formatSpecs,
  browser: browserSpecs,
  load: loadSpecs,
  context: contextSpecs,
  products: productSpecs,
};

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === null) process.stdout.write(HELP);
  else await bench(options);
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exitCode = 1;
}

async function bench(options: Options): Promise<void> {
  const results = new Results(machine());
  const folder = cacheFolder();
  await mkdir(folder, { recursive: true });
  const bring: Bring = async (name, install) => {
    if (!options.peers) return undefined;
    try {
      return await install(folder);
    } catch (error) {
      note(`${name}: ${(error as Error).message}`);
      results.miss(name, error);
      return undefined;
    }
  };
  const measure = async (group: GroupName, specs: readonly Spec[]) => {
    const chosen = specs.filter(({ name }) => name.includes(options.subject));
    await runGroup(results, chosen, { name: group, rounds: options.repeats, fresh: group === 'load' });
  };
  const groups = options.groups.filter((group) => group in SPECS) as LargeGroup[];
  if (groups.length > 0) {
    const model = await modelFiles(folder);
    const parts = { options, model, ...(await peers(bring)) };
    for (const file of model.files) await warm(file);
    for (const group of groups) await measure(group, SPECS[group](parts));
  }
  if (options.groups.includes('drafts')) await measure('drafts', draftSpecs(options));
  if (options.groups.includes('train')) {
    const torch = await bring('PyTorch', torchPython);
    await measure('train', trainSpecs({ options, folder: await trainFiles(folder), torch }));
  }
  const text = report(results);
  process.stdout.write(`\n${options.quick ? 'A quick run: not for publishing.\n\n' : ''}${text}`);
  const path = options.json ?? defaultPath(results);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(asJson(results, options), null, 2)}\n`);
  note(`\nwritten to ${path}`);
}

type LargeGroup = Exclude<GroupName, 'train' | 'drafts'>;

type Bring = (name: string, install: (folder: string) => Promise<string>) => Promise<string | undefined>;

async function peers(bring: Bring) {
  return {
    node: await bring('node-llama-cpp and TensorFlow.js', nodePeers),
    python: await bring('llama.cpp', llamaPython),
    chromium: await bring('wllama', async () => chromium()),
  };
}

function defaultPath({ date }: Results): string {
  return fileURLToPath(new URL(`../results/${date.replaceAll(':', '-').slice(0, 19)}.json`, import.meta.url));
}

function asJson(results: Results, options: Options) {
  const { date, machine, surroundings, missing, samples, greetings } = results;
  const subjects = Object.fromEntries(greetings);
  return { date, machine, options, surroundings, subjects, missing, goals: goals(results), samples };
}
