/** `mariana init`: checkpoints as Hugging Face lays them out, the same for the same seed, whole or not at all. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { split } from './damage.ts';
import { batch, json, mariana, type Outcome } from './program.ts';
import { scratchFolder } from './scratch.ts';

const scratch = scratchFolder();

const read = (folder: string, file: string) => JSON.parse(readFileSync(join(scratch, folder, file), 'utf8'));
const headerOf = (folder: string, file = 'model.safetensors') =>
  split(readFileSync(join(scratch, folder, file))).header;

describe('what is written', () => {
  const init = (folder: string, ...args: string[]) => ['init', '--out', join(scratch, folder), '--json', ...args];
  let outcomes: Outcome[] = [];

  beforeAll(async () => {
    outcomes = await batch([
      init('bf16', '--preset', 'tiny', '--seed', '5'),
      init('again', '--preset', 'tiny', '--seed', '5', '--dtype', 'bf16'),
      init('other', '--preset', 'tiny', '--seed', '6'),
      init('fp8', '--preset', 'tiny-mtp', '--dtype', 'fp8'),
      init('sharded', '--preset', 'tiny', '--seed', '5', '--max-shard-size', '200KB'),
      init('words', '--preset', 'small', '--tokenizer', 'README.md'),
    ]);
    for (const outcome of outcomes) json(outcome);
  }, 120_000);

  test('one file of BF16, config.json as the preset has it', () => {
    expect(readdirSync(join(scratch, 'bf16')).sort()).toEqual(['config.json', 'model.safetensors']);
    expect(json(outcomes[0]!)).toMatchObject({
      preset: 'tiny',
      seed: 5,
      dtype: 'bf16',
      totalBytes: expect.any(Number),
    });
    expect(json(outcomes[0]!).files).toEqual(['config.json', 'model.safetensors']);
    const config = read('bf16', 'config.json');
    expect(config).toMatchObject({ architectures: ['DeepseekV3ForCausalLM'], model_type: 'deepseek_v3' });
    expect(config).not.toHaveProperty('quantization_config');
    const header = headerOf('bf16');
    expect(header.__metadata__).toEqual({ format: 'pt' });
    expect(header['model.layers.1.mlp.gate.e_score_correction_bias']).toMatchObject({ dtype: 'F32', shape: [8] });
    expect(header['model.layers.2.mlp.experts.7.down_proj.weight']).toMatchObject({ dtype: 'BF16', shape: [64, 32] });
    expect(header['lm_head.weight']).toMatchObject({ dtype: 'BF16', shape: [256, 64] });
  });

  test('the same seed gives the same bytes, another seed others', () => {
    const bytes = (folder: string) => readFileSync(join(scratch, folder, 'model.safetensors'));
    expect(bytes('again').equals(bytes('bf16'))).toBe(true);
    expect(bytes('other').equals(bytes('bf16'))).toBe(false);
  });

  test('FP8: codes with weight_scale_inv beside them, what stays precise in BF16, and a quantization_config', () => {
    expect(read('fp8', 'config.json').quantization_config).toEqual({
      activation_scheme: 'dynamic',
      fmt: 'e4m3',
      quant_method: 'fp8',
      weight_block_size: [128, 128],
    });
    const header = headerOf('fp8');
    for (const [name, entry] of Object.entries(header)) {
      const scale = header[`${name}_scale_inv`];
      if (entry.dtype !== 'F8_E4M3') continue;
      const [rows, columns] = entry.shape as [number, number];
      expect(scale, name).toMatchObject({ dtype: 'F32', shape: [Math.ceil(rows / 128), Math.ceil(columns / 128)] });
    }
    const dtype = (name: string) => header[name]?.dtype;
    expect(dtype('model.layers.0.self_attn.o_proj.weight')).toBe('F8_E4M3');
    expect(dtype('model.layers.1.mlp.experts.0.up_proj.weight')).toBe('F8_E4M3');
    expect(dtype('model.embed_tokens.weight')).toBe('BF16');
    expect(dtype('model.layers.1.mlp.gate.weight')).toBe('BF16');
    expect(dtype('model.layers.2.eh_proj.weight')).toBe('BF16');
    expect(header).not.toHaveProperty('model.embed_tokens.weight_scale_inv');
  });

  test('several files, with an index that is right about all of them', () => {
    const files = readdirSync(join(scratch, 'sharded'))
      .filter((name) => name.endsWith('.safetensors'))
      .sort();
    const of = String(files.length).padStart(6, '0');
    expect(files.length).toBeGreaterThan(2);
    expect(files).toEqual(files.map((_, i) => `model-${String(i + 1).padStart(5, '0')}-of-${of}.safetensors`));
    const { metadata, weight_map } = read('sharded', 'model.safetensors.index.json');
    const placed: Record<string, string> = {};
    let total = 0;
    for (const file of files) {
      const { header, values } = split(readFileSync(join(scratch, 'sharded', file)));
      expect(values.length).toBeLessThanOrEqual(200_000);
      total += values.length;
      for (const name of Object.keys(header)) if (name !== '__metadata__') placed[name] = file;
    }
    expect(weight_map).toEqual(placed);
    expect(metadata.total_size).toBe(total);
  });

  test('a tokenizer with words of a text', async () => {
    const vocab = read('words', 'tokenizer.json').model.vocab;
    expect(Object.keys(vocab).length).toBeGreaterThan(600);
    const run = ['generate', '--model', join(scratch, 'words'), '--prompt', 'mariana generate', '--max-tokens', '0'];
    const [outcome] = await batch([[...run, '--json']]);
    expect(json(outcome!).promptIds.length).toBeLessThan('mariana generate'.length / 2);
    expect(json(outcome!).promptIds[0]).toBe(0); // begin of text
  });

  test('what was written can be inspected, run and scored, and the layout changes nothing', async () => {
    const ids = ['--ids', '1,2,3', '--json', '--backend', 'reference'];
    const generate = (folder: string) => [
      ...['generate', '--model', join(scratch, folder), ...ids, '--max-tokens', '8', '--temperature', '0'],
    ];
    const score = (folder: string) => ['score', '--model', join(scratch, folder), ...ids];
    const [one, sharded, other, preset, fp8, draft, seen] = await batch([
      generate('bf16'),
      generate('sharded'),
      generate('other'),
      ['score', '--model', 'tiny', ...ids],
      score('fp8'),
      [...score('fp8'), '--mtp'],
      ['inspect', join(scratch, 'fp8'), '--json'],
    ]);
    expect(json(sharded!).ids).toEqual(json(one!).ids);
    expect(json(other!).ids).not.toEqual(json(one!).ids);
    expect(json(fp8!).perplexity / json(preset!).perplexity).toBeCloseTo(1, 0); // both know nothing
    expect(json(draft!).mtp.perplexity).toBeGreaterThan(1);
    expect(json(seen!).checkpoint).toMatchObject({ mtp: true, bytes: json(seen!).weightBytes.fp8.total });
  });
});

describe('a folder that is not empty', () => {
  const folder = join(scratch, 'used');
  const init = ['init', '--preset', 'tiny', '--out', folder, '--json'];

  test('is left alone, unless --force is given: then only what belongs to a checkpoint is replaced', async () => {
    mkdirSync(folder);
    writeFileSync(join(folder, 'notes.txt'), 'mine');
    const [refused] = await batch([init]);
    expect(refused).toMatchObject({ code: 2 });
    expect(readdirSync(folder)).toEqual(['notes.txt']);
    const [sharded, whole] = await batch([
      [...init, '--force', '--max-shard-size', '200KB'],
      [...init, '--force', '--seed', '3'],
    ]);
    json(sharded!);
    json(whole!);
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors', 'notes.txt']);
    expect(readFileSync(join(folder, 'notes.txt'), 'utf8')).toBe('mine');
  });
});

test('people are told what was written', async () => {
  const folder = join(scratch, 'told');
  const { code, stdout } = await mariana(['init', '--preset', 'tiny', '--out', folder]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/told: \d+\.\d KB of weights written in .*\n {2}config\.json\n {2}model\.safetensors\n$/);
});

describe('a disk that is full', () => {
  // One has too few bytes; the other has bytes, and so is tried, but no room for another file.
  const small = tmpfs(join(scratch, 'small'), 'size=1500k');
  const crowded = tmpfs(join(scratch, 'crowded'), 'size=50m,nr_inodes=6');
  afterAll(() => {
    for (const { path, problem } of [small, crowded]) if (problem === null) execFileSync('umount', [path]);
  });
  const problem = small.problem ?? crowded.problem;
  if (problem !== null) console.log(`skipped, since no small disk can be made here: a full disk (${problem})`);

  const init = (folder: string, ...args: string[]) => ['init', '--preset', 'tiny', '--out', folder, '--json', ...args];
  const weights = (folder: string) => readFileSync(join(folder, 'model.safetensors'));

  test.skipIf(problem !== null)('what does not fit is said before, and leaves no folder behind', async () => {
    const out = join(small.path, 'a', 'new');
    const [outcome] = await batch([['init', '--preset', 'small', '--out', out, '--json']]);
    expect(outcome).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/the weights take .* but only .* are free/),
    });
    expect(JSON.parse(outcome!.stdout).error.code).toBe('FILE_WRITE_FAILED');
    expect(readdirSync(small.path)).toEqual([]);
  });

  test.skipIf(problem !== null)('an old checkpoint survives', async () => {
    const old = join(crowded.path, 'old');
    const [made] = await batch([init(old)]);
    json(made!);
    const before = weights(old);
    const [outcome] = await batch([init(old, '--force', '--seed', '9', '--max-shard-size', '100KB')]);
    expect(outcome).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^error \[FILE_WRITE_FAILED\].*disk is full/),
    });
    expect(readdirSync(old).sort()).toEqual(['config.json', 'model.safetensors']);
    expect(weights(old).equals(before)).toBe(true);
  });

  test.skipIf(problem !== null)('an old file of logits survives', async () => {
    const logits = join(small.path, 'logits.safetensors');
    writeFileSync(logits, 'old');
    const ids = Array.from({ length: 1600 }, () => '7').join(); // 1.6 MB of logits
    const [outcome] = await batch([['score', '--model', 'tiny', '--ids', ids, '--logits', logits, '--json']]);
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringMatching(/logits\.safetensors: the disk is full/) });
    expect(JSON.parse(outcome!.stdout).error.code).toBe('FILE_WRITE_FAILED');
    expect(readdirSync(small.path)).toEqual(['logits.safetensors']);
    expect(readFileSync(logits, 'utf8')).toBe('old');
  });
});

/** Mounts a small disk in memory; `problem` says why not, where that cannot be done. */
function tmpfs(path: string, options: string): { path: string; problem: string | null } {
  mkdirSync(path);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path], { stdio: 'pipe' });
    return { path, problem: null };
  } catch (error) {
    return { path, problem: String(error).split('\n').at(-1) || String(error) };
  }
}
