/** `mariana convert`: other formats of a model, and what they generate. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fixturePath } from '@mariana/goldens/node';
import { beforeAll, describe, expect, test } from 'vitest';
import { split } from './damage.ts';
import { batch, json, type Outcome } from './program.ts';
import { scratchFolder } from './scratch.ts';

const scratch = scratchFolder();
const golden = fixturePath('tiny-dense-moe');
const at = (name: string) => join(scratch, name);
const convert = (out: string, ...args: string[]) => ['convert', '--model', golden, '--out', at(out), '--json', ...args];
const generate = (model: string) => {
  const sampling = ['--ids', '5,6,7', '--max-tokens', '8', '--temperature', '0'];
  return ['generate', '--model', model, ...sampling, '--weights', 'f32', '--json'];
};

describe('formats', () => {
  let outcomes: Outcome[] = [];

  beforeAll(async () => {
    outcomes = await batch([
      convert('f32.gguf', '--quant', 'f32'),
      convert('q8.gguf'),
      convert('int8'),
      convert('bf16', '--weights', 'bf16', '--max-shard-size', '200KB'),
      convert('odd-name', '--to', 'gguf', '--quant', 'bf16'),
      ['convert', '--model', at('q8.gguf'), '--out', at('back'), '--weights', 'f32', '--json'],
      generate(golden),
      generate(at('f32.gguf')),
      generate(at('bf16')),
      generate(at('q8.gguf')),
      generate(at('back')),
      ['inspect', at('q8.gguf'), '--json'],
    ]);
  }, 120_000);

  test('are told: what was written, and what did not come over', () => {
    expect(json(outcomes[0]!)).toEqual({
      model: golden,
      out: at('f32.gguf'),
      to: 'gguf',
      format: 'f32',
      totalBytes: expect.any(Number),
      files: ['f32.gguf'],
      warnings: [expect.stringContaining('no tokenizer')],
    });
    expect(json(outcomes[1]!)).toMatchObject({ to: 'gguf', format: 'q8_0' });
    expect(json(outcomes[2]!)).toMatchObject({ to: 'safetensors', format: 'int8', warnings: [] });
    expect(json(outcomes[3]!).files.length).toBeGreaterThan(3);
    expect(json(outcomes[4]!)).toMatchObject({ to: 'gguf', files: ['odd-name'] });
  });

  test('generate the same tokens where nothing was rounded, and GGUF the same as what it is converted back to', () => {
    const ids = outcomes.slice(6, 11).map((outcome) => json(outcome).ids);
    expect(ids[0]).toHaveLength(8);
    expect(ids[1]).toEqual(ids[0]);
    expect(ids[2]).toEqual(ids[0]);
    expect(ids[4]).toEqual(ids[3]);
  });

  test('can be inspected: a GGUF file tells its own types', () => {
    const { kind, model, checkpoint } = json(outcomes[11]!);
    expect(kind).toBe('checkpoint');
    expect(model).toMatchObject({ num_hidden_layers: 3, n_routed_experts: 8, q_lora_rank: 48 });
    expect(checkpoint).toMatchObject({ tensors: 52, tokenizer: false, dtypes: { q8_0: 29, f16: 6, f32: 17 } });
    expect(checkpoint.bytes).toBe(json(outcomes[1]!).totalBytes);
  });

  test('int8 is documented in the files themselves', () => {
    expect(readdirSync(at('int8')).sort()).toEqual(['config.json', 'model.safetensors']);
    const config = JSON.parse(readFileSync(join(at('int8'), 'config.json'), 'utf8'));
    expect(config.quantization_config).toEqual({ quant_method: 'mariana', format: 'int8', group_size: 128 });
    const header = split(readFileSync(join(at('int8'), 'model.safetensors'))).header;
    const name = 'model.layers.0.mlp.down_proj.weight';
    expect(header[name]).toMatchObject({ dtype: 'I8', shape: [64, 128] });
    expect(header[`${name}_scale`]).toMatchObject({ dtype: 'F32', shape: [64, 1] });
    expect(header['lm_head.weight']).toMatchObject({ dtype: 'BF16' });
  });
});

test('what cannot be is refused in one line, and nothing is left behind', async () => {
  writeFileSync(at('taken.gguf'), 'precious');
  const cases: [string[], string][] = [
    [convert('x.gguf', '--weights', 'int8'), 'USAGE'],
    [convert('x', '--quant', 'q8_0'), 'USAGE'],
    [convert('x', '--weights', 'int3'), 'USAGE'],
    [convert('taken.gguf'), 'USAGE'],
    [['convert', '--model', at('nothing'), '--out', at('x'), '--json'], 'FILE_NOT_FOUND'],
    [['convert', '--model', at('taken.gguf'), '--out', at('x'), '--json'], 'CHECKPOINT_CORRUPT'],
    [convert('taken.gguf/inside'), 'FILE_WRITE_FAILED'],
  ];
  const outcomes = await batch(cases.map(([args]) => args));
  for (const [i, outcome] of outcomes.entries()) {
    const [args, code] = cases[i]!;
    expect(outcome.code, args.join(' ')).toBe(2);
    expect(JSON.parse(outcome.stdout).error.code, args.join(' ')).toBe(code);
    expect(outcome.stderr.trim().split('\n')).toHaveLength(1);
  }
  expect(readFileSync(at('taken.gguf'), 'utf8')).toBe('precious');
  expect(readdirSync(scratch).filter((name) => name === 'x' || name === 'x.gguf')).toEqual([]);
});

test('--force replaces a file', async () => {
  writeFileSync(at('old.gguf'), 'old');
  const [outcome] = await batch([convert('old.gguf', '--force')]);
  expect(json(outcome!).files).toEqual(['old.gguf']);
  expect(readFileSync(at('old.gguf')).subarray(0, 4).toString()).toBe('GGUF');
});
