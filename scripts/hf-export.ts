/**
 * Has Hugging Face transformers load what `@mariana/train` exports, in F32, BF16 and FP8, with experts, YaRN and
 * multi-token prediction, and compares its logits with Mariana's; and those of `packages/model-stories` if a model is in
 * it. Brings PyTorch into the cache folder of the benchmark first, gigabytes, so it is no part of `npm test`.
 *
 * Run: `node scripts/hf-export.ts`. Exit code 1 if logits differ by more than a thousandth or weights go astray; 3 if
 * PyTorch cannot be had, and nothing was checked.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../bench/src/peers/cache-folder.ts';
import { torchPython } from '../bench/src/peers/torch.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TOLERANCE = 1e-3;
const NOTHING_CHECKED = 3;

interface Comparison {
  readonly name: string;
  /** Largest difference of two logits, and the largest logit. */
  readonly difference: number;
  readonly largest: number;
  /** Whether the most probable token is the same everywhere. */
  readonly same: boolean;
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly dequantised: boolean;
}

/** Runs a program to its end and hands back what it printed. What it complains of is shown. */
function output(name: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, { cwd: ROOT, stdio: ['pipe', 'pipe', 'inherit'] });
    let printed = '';
    child.stdout.setEncoding('utf8').on('data', (part) => {
      printed += part;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(printed);
      else reject(new Error(`${name} ${args[0]} ended with ${code}`));
    });
    child.stdin.end(input);
  });
}

/** Folders of a package that hold a checkpoint; not those that a recipe writes into. */
function checkpointsIn(folder: string, depth = 2): string[] {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { withFileTypes: true });
  const has = (name: string) => entries.some((entry) => entry.name === name);
  const skipped = new Set(['node_modules', 'recipe', 'dist']);
  const inner = entries.filter((entry) => entry.isDirectory() && depth > 0 && !skipped.has(entry.name));
  return [
    ...(has('config.json') && has('model.safetensors') ? [folder] : []),
    ...inner.flatMap(({ name }) => checkpointsIn(join(folder, name), depth - 1)),
  ];
}

function faults({ difference, missing, unexpected }: Comparison): string[] {
  return [
    ...(difference <= TOLERANCE ? [] : ['DIFFERENT LOGITS']),
    ...(missing.length === 0 ? [] : [`MISSING: ${missing.join(', ')}`]),
    ...(unexpected.length === 0 ? [] : [`UNEXPECTED: ${unexpected.join(', ')}`]),
  ];
}

async function compare(python: string): Promise<number> {
  const scratch = await mkdtemp(join(tmpdir(), 'mariana-hf-export-'));
  try {
    const stories = checkpointsIn(join(ROOT, 'packages/model-stories'));
    const exporter = join(ROOT, 'bench/src/subjects/export-models.ts');
    const exported = await output(process.execPath, ['--conditions=@mariana/source', exporter, scratch, ...stories]);
    const answers = await output(python, [join(ROOT, 'scripts/hf-export.py')], exported);
    const comparisons = answers
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Comparison);
    for (const comparison of comparisons) {
      const { name, difference, largest, same, dequantised } = comparison;
      const found = [
        `largest difference ${difference.toExponential(1)} of logits up to ${largest.toFixed(2)}`,
        `most probable tokens ${same ? 'the same' : 'not all the same'}`,
        ...(dequantised ? ['dequantised by its scales first'] : []),
        ...faults(comparison),
      ];
      process.stdout.write(`${name}: ${found.join('; ')}\n`);
    }
    const expected = exported.trim().split('\n').length;
    if (comparisons.length !== expected)
      throw new Error(`${comparisons.length} of ${expected} checkpoints were compared`);
    return comparisons.filter((comparison) => faults(comparison).length > 0).length;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

const python = await torchPython(cacheFolder()).catch((error: Error) => {
  process.stderr.write(`PyTorch and transformers cannot be brought, so nothing was checked: ${error.message}\n`);
});
if (python === undefined) {
  process.exitCode = NOTHING_CHECKED;
} else {
  const failures = await compare(python);
  process.stdout.write(failures === 0 ? 'transformers agrees\n' : `${failures} of these differ\n`);
  process.exitCode = failures === 0 ? 0 : 1;
}
