/** Training from the command line: from a text to a model that generates, and nothing lost whatever happens between. */
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { configToJson, preset } from '@mariana/core';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Metrics } from '../src/train/metrics.ts';
import { batch, finish, json, mariana, type Outcome, start } from './program.ts';
import { scratchFolder } from './scratch.ts';

const DATA = fileURLToPath(new URL('fixtures/tales.jsonl', import.meta.url));
const folder = scratchFolder();
const at = (name: string) => join(folder, name);

const metricsOf = (out: string): Metrics[] =>
  readFileSync(join(out, 'metrics.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

/** Metrics without what a stopwatch shows. */
const figures = (out: string) => metricsOf(out).map(({ seconds, tokensPerSecond, ...rest }) => rest);

const TINY = ['--data', DATA, '--vocab', '320', '--batch', '2', '--sequence', '32', '--threads', '1'];

describe('a whole run', () => {
  const out = at('whole');
  let result: Record<string, unknown>;
  let progress: string;
  beforeAll(async () => {
    const args = ['--preset', 'tiny-mtp', '--steps', '10', '--precision', 'fp8', '--dtype', 'fp8', '--eval-every', '5'];
    const outcome = await mariana(['train', ...TINY, ...args, '--validation', '0.1', '--out', out, '--json']);
    result = json(outcome);
    progress = outcome.stderr;
  }, 120_000);

  it('leaves a checkpoint, its tokenizer, metrics, a report and the state', () => {
    expect(result.files).toEqual(readdirSync(out).sort());
    expect(result.files).toEqual([
      'config.json',
      'generation_config.json',
      'metrics.jsonl',
      'model.safetensors',
      'report.html',
      'tokenizer.json',
      'tokenizer_config.json',
      'train.json',
      'training.safetensors',
    ]);
    const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'));
    expect(config).toMatchObject({ vocab_size: 320, bos_token_id: 0, eos_token_id: 1, num_nextn_predict_layers: 1 });
    expect(config.quantization_config).toMatchObject({ quant_method: 'fp8', weight_block_size: [128, 128] });
  });

  it('has a line of metrics for each step, and learns', () => {
    const lines = metricsOf(out);
    expect(lines.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(lines.map(({ tokens }) => tokens)).toEqual(lines.map((_, i) => (i + 1) * 64));
    expect(lines.at(-1)!.crossEntropy).toBeLessThan(lines[0]!.crossEntropy);
    expect(lines[0]!.crossEntropy).toBeCloseTo(Math.log(320), 0);
    // 2 sequences of 32 tokens, and 31 for the MTP module; 3 experts each.
    for (const { load } of lines) {
      const sums = Object.entries(load).map(([layer, counts]) => [layer, counts.reduce((sum, count) => sum + count)]);
      expect(sums).toEqual([
        ['1', 192],
        ['2', 186],
      ]);
    }
    expect(lines.filter(({ validation }) => validation).map(({ step }) => step)).toEqual([5, 10]);
    const { crossEntropy, bitsPerByte } = lines.at(-1)!.validation!;
    // More than a byte to a token, so fewer bits to a byte than to a token.
    expect(bitsPerByte).toBeLessThan(crossEntropy / Math.LN2);
    expect(bitsPerByte).toBeGreaterThan(crossEntropy / Math.LN2 / 4);
    expect(Object.keys(lines.at(-1)!.fp8!).sort()).toEqual(['activation', 'gradient', 'weight']);
  });

  it('tells its result as JSON and its progress line by line', () => {
    const last = metricsOf(out).at(-1)!;
    expect(result).toMatchObject({
      out,
      steps: 10,
      loss: last.loss,
      tokens: 640,
      maxViolation: last.maxViolation,
      validation: last.validation,
    });
    expect(progress).toMatch(
      /^step 1\/10 {2}loss \d\.\d{4} {2}[\d,]+ tokens\/s {2}MaxViolation \d\.\d\d {2}ends \d\d:\d\d/m,
    );
    expect(progress).toMatch(/^step 10\/10 {2}loss \d\.\d{4}/m);
    expect(progress).toContain(`validation loss ${last.validation!.crossEntropy.toFixed(4)}`);
  });

  it('has a report with the numbers, and nothing to fetch', () => {
    const html = readFileSync(join(out, 'report.html'), 'utf8');
    const last = metricsOf(out).at(-1)!;
    for (const figure of [
      last.loss,
      last.crossEntropy,
      last.mtpLoss[0]!,
      last.validation!.bitsPerByte,
      last.maxViolation,
      last.fp8!.activation!.largestGroup,
    ]) {
      expect(html).toContain(figure.toFixed(4));
    }
    for (const title of ['Loss', 'Learning rate', 'Load of the experts', 'MaxViolation', 'FP8 ranges']) {
      expect(html).toContain(`<h2>${title}</h2>`);
    }
    expect(html.match(/data:image\/png/g)).toHaveLength(2);
    expect(html).not.toMatch(/https?:|<script|<link|url\(/);
  });

  it('can be used at once, its tokenizer and its config for another run too', async () => {
    const settings = [
      '--tokenizer',
      out,
      '--config',
      join(out, 'config.json'),
      '--balance',
      'aux',
      '--schedule',
      'constant',
    ];
    const data = ['--data', DATA, DATA, '--batch', '2', '--sequence', '32', '--threads', '1', '--steps', '2'];
    const [generated, inspected, again, other] = await batch([
      ['generate', '--model', out, '--prompt', 'The baker', '--max-tokens', '5', '--json'],
      ['inspect', out, '--json'],
      ['train', ...TINY, '--steps', '10', '--out', out, '--resume', '--json'],
      ['train', ...data, ...settings, '--precision', 'bf16', '--out', at('other'), '--json'],
    ]);
    expect(json(other!)).toMatchObject({ steps: 2, parameters: result.parameters });
    const tokenizer = (folder: string) => readFileSync(join(folder, 'tokenizer.json'), 'utf8');
    expect(tokenizer(at('other'))).toBe(tokenizer(out));
    expect(metricsOf(at('other'))[0]!.balanceLoss).toBeGreaterThan(0.005);
    const kept = JSON.parse(readFileSync(join(at('other'), 'train.json'), 'utf8'));
    expect(kept).toMatchObject({ data: [DATA, DATA], config: { vocab_size: 320 } });
    expect(json(generated!).ids.length).toBeGreaterThan(0);
    expect(json(inspected!).checkpoint).toBeTruthy();
    expect(json(again!)).toMatchObject({ steps: 10, loss: metricsOf(out).at(-1)!.loss });
  }, 60_000);
});

describe('a run that is interrupted', () => {
  const recipe = at('recipe.json');
  const [whole, parts, killed] = [at('uninterrupted'), at('parts'), at('killed')];
  beforeAll(async () => {
    writeFileSync(
      recipe,
      JSON.stringify({
        data: DATA,
        preset: 'tiny',
        vocab: 320,
        steps: 40,
        batch: 1,
        accumulate: 2,
        sequence: 16,
        threads: 1,
        validation: DATA,
        evalEvery: 20,
        evalSequences: 3,
        checkpointEvery: 4,
      }),
    );
    expect(await mariana(['train', recipe, '--out', whole, '--quiet'])).toMatchObject({ code: 0, stderr: '' });
  }, 120_000);

  const hasSteps = (out: string, steps: number) =>
    existsSync(join(out, 'metrics.jsonl')) &&
    readFileSync(join(out, 'metrics.jsonl'), 'utf8').split('\n').length > steps;

  const same = (out: string) => {
    expect(figures(out)).toEqual(figures(whole));
    expect(readFileSync(join(out, 'model.safetensors')).equals(readFileSync(join(whole, 'model.safetensors')))).toBe(
      true,
    );
  };

  it('by ctrl-C saves its state, and goes on as if nothing had been', async () => {
    const child = start(['train', recipe, '--out', parts]);
    const outcome = finish(child);
    await expect.poll(() => hasSteps(parts, 2), { timeout: 60_000 }).toBe(true);
    child.kill('SIGINT');
    const { code, stdout, stderr } = await outcome;
    expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
    const done = metricsOf(parts).length;
    expect(stderr).toMatch(new RegExp(`saved after step ${done}; .*--resume.*\ninterrupted\n$`));
    expect(done).toBeLessThan(40);
    // The settings are in the folder: nothing but its name is needed.
    const resumed = await mariana(['train', '--resume', '--out', parts]);
    expect(resumed.code).toBe(0);
    expect(resumed.stderr).toContain(`going on after step ${done}`);
    same(parts);
  }, 120_000);

  it('by kill -9 loses what came after the last checkpoint, and does it again with the same numbers', async () => {
    let kills = 0;
    for (const steps of [1, 11, 23]) {
      const resume = existsSync(join(killed, 'train.json')) ? ['--resume'] : [];
      const child = start(['train', recipe, '--out', killed, '--quiet', ...resume]);
      const closed = once(child, 'close');
      await expect.poll(() => hasSteps(killed, steps), { timeout: 60_000, interval: 5 }).toBe(true);
      child.kill('SIGKILL');
      const [, signal] = await closed;
      if (signal === 'SIGKILL') kills++;
    }
    expect(kills).toBeGreaterThan(1);
    // As if the last line had been cut off, too.
    writeFileSync(join(killed, 'metrics.jsonl'), '{"step":', { flag: 'a' });
    expect(await mariana(['train', '--resume', '--out', killed, '--quiet'])).toMatchObject({ code: 0, stderr: '' });
    same(killed);
  }, 240_000);
});

describe('a second phase', () => {
  const [first, second, third] = [at('phase-1'), at('phase-2'), at('phase-3')];
  const recipe = at('phase.json');
  let outcomes: Outcome[] = [];
  const configOf = (out: string) => JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'));

  beforeAll(async () => {
    const settings = { data: DATA, vocab: 320, batch: 2, sequence: 16, threads: 1, warmup: 0 };
    const config = { ...configToJson(preset('tiny-mtp')), max_position_embeddings: 16, rope_scaling: null };
    writeFileSync(recipe, JSON.stringify(settings));
    writeFileSync(at('short.json'), JSON.stringify(config));
    const begin = ['train', recipe, '--steps', '4', '--json', '--out'];
    outcomes = await batch([
      [...begin, first, '--config', at('short.json'), '--dtype', 'fp8', '--lr', '0.01'],
      [...begin, second, '--init', first, '--extend-context', '64', '--yarn-factor', '4'],
      [...begin, third, '--init', first, '--steps', '1', '--quiet'],
      ['train', '--resume', '--out', second, '--steps', '5', '--json'],
      ['generate', '--model', second, '--prompt', 'The baker woke before the birds', '--max-tokens', '4', '--json'],
    ]);
  }, 240_000);

  it('begins with the weights, tokenizer and routing biases of a checkpoint, in FP8 too', () => {
    expect(json(outcomes[2]!).steps).toBe(1);
    // Equal seeds, so equal first batches: the second time it has been seen.
    const [fresh, again] = [first, third].map((out) => metricsOf(out)[0]!.crossEntropy) as [number, number];
    expect(again).toBeLessThan(fresh - 0.3);
    const tokenizer = (out: string) => readFileSync(join(out, 'tokenizer.json'), 'utf8');
    expect(tokenizer(third)).toBe(tokenizer(first));
    expect(configOf(third)).toMatchObject({ vocab_size: 320, max_position_embeddings: 16 });
    expect(configOf(third).quantization_config).toBeUndefined();
  });

  it('extends the context by YaRN, and learns from sequences as long', () => {
    json(outcomes[1]!);
    expect(configOf(second)).toMatchObject({
      max_position_embeddings: 64,
      rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 16 },
    });
    expect(metricsOf(second)[0]!.tokens).toBe(2 * 64);
    const said = JSON.parse(readFileSync(join(second, 'tokenizer_config.json'), 'utf8'));
    expect(said.model_max_length).toBe(64);
    const { promptIds, ids } = json(outcomes[4]!);
    expect(promptIds.length + ids.length).toBeGreaterThan(16);
  });

  it('goes on by itself, without what it began with', async () => {
    expect(json(outcomes[3]!)).toMatchObject({ steps: 5 });
    expect(metricsOf(second)).toHaveLength(5);
    renameSync(first, at('moved'));
    expect(await mariana(['train', '--resume', '--out', second, '--steps', '6', '--quiet'])).toMatchObject({ code: 0 });
    expect(metricsOf(second)).toHaveLength(6);
    renameSync(at('moved'), first);
  }, 120_000);

  it('is refused where it makes no sense', async () => {
    const begin = ['train', recipe, '--steps', '1', '--out', at('never-2')];
    const wide = { ...configOf(first), hidden_size: 128 };
    writeFileSync(at('wide.json'), JSON.stringify(wide));
    const cases: [args: string[], code: string, message: RegExp][] = [
      [['--init', first, '--preset', 'tiny'], 'USAGE', /not both/],
      [['--init', first, '--vocab', '300'], 'USAGE', /--vocab/],
      [['--preset', 'tiny', '--extend-context', '64'], 'USAGE', /--init/],
      [['--init', first, '--yarn-factor', '4'], 'USAGE', /--extend-context/],
      [['--init', first, '--extend-context', '8'], 'INVALID_ARGUMENT', /not longer than the 16/],
      [['--init', first, '--extend-context', '64', '--yarn-factor', '2'], 'INVALID_ARGUMENT', /factor of 2/],
      [['--init', second, '--extend-context', '128', '--yarn-factor', '8'], 'INVALID_ARGUMENT', /YaRN settings/],
      [['--init', first, '--sequence', '32'], 'INVALID_ARGUMENT', /extend the context/],
      [['--init', first, '--config', at('wide.json')], 'TENSOR_MISMATCH', /phase-1/],
      [['--init', at('nowhere')], 'FILE_NOT_FOUND', /nowhere/],
    ];
    const outcomes = await batch(cases.map(([args]) => [...begin, ...args]));
    for (const [i, [args, code, message]] of cases.entries()) {
      const { code: exit, stderr } = outcomes[i]!;
      expect({ args, exit, stderr }).toEqual({ args, exit: 2, stderr: expect.stringContaining(`error [${code}]`) });
      expect(stderr).toMatch(message);
      expect(existsSync(at('never-2')) ? readdirSync(at('never-2')) : []).toEqual([]);
    }
  }, 120_000);
});

describe('Muon, with a decay at the end', () => {
  it('goes on without having decayed, then decays, and stays Muon', async () => {
    const out = at('muon');
    const muon = ['--optimizer', 'muon', '--schedule', 'wsd', '--lr', '0.01', '--warmup', '0'];
    const [begun, other, longer] = await batch([
      ['train', ...TINY, ...muon, '--preset', 'tiny', '--steps', '3', '--decay', '0', '--out', out],
      ['train', '--resume', '--out', out, '--steps', '5', '--optimizer', 'adamw'],
      ['train', '--resume', '--out', out, '--steps', '5', '--decay', '2'],
    ]);
    expect([begun!.code, longer!.code]).toEqual([0, 0]);
    expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining('optimizer "muon", not "adamw"') });
    const rates = metricsOf(out).map(({ learningRate }) => learningRate);
    expect(rates.slice(0, 3)).toEqual([0.01, 0.01, 0.01]);
    expect(rates[3]).toBeCloseTo(0.001 + 0.009 * (1 - Math.sqrt(0.5)), 12);
    expect(rates[4]).toBeCloseTo(0.001, 12);
    const losses = metricsOf(out).map(({ crossEntropy }) => crossEntropy);
    expect(losses[4]).toBeLessThan(losses[0]!);
  }, 120_000);
});

describe('what cannot be trained', () => {
  it('is refused in one line, with code and place', async () => {
    const file = (name: string, content: string) => {
      writeFileSync(at(name), content);
      return at(name);
    };
    mkdirSync(at('no-data'));
    mkdirSync(at('used'));
    writeFileSync(join(at('used'), 'notes.txt'), 'mine');
    const steps = ['--steps', '1', '--preset', 'tiny'];
    const model = [...steps, '--out', at('never')];
    const config = (settings: object, name: string) => [
      file(name, JSON.stringify({ data: DATA, out: 'never', steps: 1, ...settings })),
    ];
    const cases: [args: string[], code: string, message: RegExp][] = [
      [[], 'USAGE', /--data/],
      [['--data', DATA, '--out', at('never')], 'USAGE', /--steps/],
      [['--data', DATA, ...steps], 'USAGE', /--out/],
      [['--data', DATA, '--steps', '0', '--out', 'x'], 'USAGE', /--steps.*whole number from 1/],
      [['--data', DATA, ...model, '--precision', 'int8'], 'USAGE', /f32, bf16, fp8/],
      [['--data', DATA, ...model, '--optimizer', 'sgd'], 'USAGE', /adamw, muon/],
      [['--data', DATA, ...model, '--decay', '1'], 'USAGE', /--schedule wsd/],
      [['--data', DATA, ...model, '--schedule', 'wsd', '--decay', '2', '--warmup', '0'], 'USAGE', /do not fit into 1/],
      [['--data', DATA, ...model, '--lr', '0'], 'USAGE', /above 0/],
      [['--data', DATA, ...model, '--warmup', '5'], 'USAGE', /warm-up of 5 steps/],
      [['--data', DATA, ...model, '--min-lr', '1'], 'USAGE', /above its peak/],
      [['--data', DATA, ...model, '--eval-every', '5'], 'USAGE', /--validation/],
      [['--data', DATA, ...model, '--vocab', '300', '--tokenizer', 'x'], 'USAGE', /--vocab/],
      [['--data', DATA, ...model, '--config', 'x'], 'USAGE', /not as both/],
      [['--data', DATA, ...model, '--validation', '0.9'], 'CONFIG_INVALID', /validation: .*up to 0\.5/],
      [['--data', DATA, ...steps, '--preset', 'huge', '--out', at('never')], 'INVALID_ARGUMENT', /"huge"/],
      [['--data', DATA, ...model, '--backend', 'abacus'], 'USAGE', /abacus/],
      [['--data', DATA, ...steps, '--out', at('used')], 'USAGE', /there are files in it/],
      [['--data', DATA, ...steps, '--out', at('used'), '--resume'], 'USAGE', /no run to go on with/],
      [['--resume'], 'USAGE', /--out/],
      [['--data', at('none'), ...steps, '--out', at('a1')], 'FILE_NOT_FOUND', /none/],
      [['--data', at('none'), DATA, ...steps, '--out', at('a1')], 'FILE_NOT_FOUND', /none/],
      [['--data', at('no-data'), ...steps, '--out', at('a2')], 'DATA_INVALID', /no-data: .*\.jsonl/],
      [
        ['--data', file('bad.jsonl', '{"text":"a"}\n{"txt":"b"}\n'), ...steps, '--out', at('a3')],
        'DATA_INVALID',
        /bad\.jsonl, line 2/,
      ],
      [
        ['--data', file('short.txt', 'Once.'), ...steps, '--out', at('a4')],
        'INVALID_ARGUMENT',
        /do not fill one sequence of 128/,
      ],
      [['--data', file('empty.txt', ''), ...steps, '--vocab', '258', '--out', at('a5')], 'DATA_INVALID', /no text/],
      [['--data', DATA, ...steps, '--tokenizer', at('bad.jsonl'), '--out', at('a6')], 'TOKENIZER_INVALID', /./],
      [
        ['--data', DATA, ...steps, '--vocab', '300', '--sequence', '9999', '--out', at('a7')],
        'INVALID_ARGUMENT',
        /9,999/,
      ],
      [[at('none.json')], 'FILE_NOT_FOUND', /none\.json/],
      [[file('broken.json', '{')], 'CONFIG_INVALID', /broken\.json: .*JSON/],
      [[file('list.json', '[]')], 'CONFIG_INVALID', /the file: .*object/],
      [config({ stpes: 5 }, 'typo.json'), 'CONFIG_INVALID', /typo\.json: stpes: there is no such setting/],
      [config({ steps: 'many', lr: -1 }, 'types.json'), 'CONFIG_INVALID', /steps: .*; lr|steps: .*\(and lr: /],
      [config({ optimizer: 'sgd' }, 'optimizer.json'), 'CONFIG_INVALID', /optimizer\.json: optimizer: .*adamw.*muon/],
      [config({ data: [DATA, 5] }, 'paths.json'), 'CONFIG_INVALID', /data: must be a path/],
      [config({ config: { hidden_size: 'big' } }, 'model.json'), 'CONFIG_INVALID', /./],
    ];
    const outcomes = await batch(cases.map(([args]) => ['train', ...args, '--json']));
    for (const [i, [args, code, message]] of cases.entries()) {
      const { stdout, stderr, code: exit } = outcomes[i]!;
      expect({ args, exit, lines: stderr.trimEnd().split('\n') }).toEqual({
        args,
        exit: 2,
        lines: [expect.stringContaining(`error [${code}]`)],
      });
      expect(stderr).toMatch(message);
      expect(JSON.parse(stdout).error.code).toBe(code);
    }
    expect(existsSync(at('never'))).toBe(false);
    // So that another attempt can go to the same place.
    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7']) expect(readdirSync(at(name)), name).toEqual([]);
    expect(readdirSync(at('used'))).toEqual(['notes.txt']);
  }, 120_000);

  it('a run is not gone on with by other settings, nor begun again over itself', async () => {
    const out = at('settled');
    const [begun, other, again] = await batch([
      ['train', ...TINY, '--preset', 'tiny', '--steps', '2', '--out', out],
      ['train', '--resume', '--out', out, '--batch', '3', '--steps', '4'],
      ['train', ...TINY, '--preset', 'tiny', '--steps', '2', '--out', out],
    ]);
    expect(begun!.code).toBe(0);
    expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining('batchSize 2, not 3') });
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('--resume') });
    // What was refused has left no trace.
    const longer = await mariana(['train', '--resume', '--out', out, '--steps', '3', '--quiet']);
    expect(longer).toMatchObject({ code: 0 });
    expect(metricsOf(out)).toHaveLength(3);
  }, 120_000);
});
