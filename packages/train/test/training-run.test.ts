/** Runs: progress, checkpoints that survive anything, exact resumption, and exports that load. */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cpu } from '@mariana/backend-cpu';
import { reference } from '@mariana/backend-reference';
import {
  Checkpoint,
  decodeBf16,
  dequantizeBlocks,
  encodeBf16,
  MemorySink,
  MemorySource,
  parseConfig,
  preset,
  quantizeBlocks,
  type Tensor,
  validateCheckpoint,
} from '@mariana/core';
import { DirectoryFiles } from '@mariana/core/node';
import { Transformer } from '@mariana/layers';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { evaluate, STATE_FILE, type TrainingRun, train } from '../src/index.ts';
import { STEPS, smallConfig, smallData, smallRun } from './support/small-run.ts';

const backend = await cpu({ threads: 1 });
afterAll(() => backend.dispose());

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mariana-train-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function losses(run: TrainingRun, steps = Number.POSITIVE_INFINITY): Promise<number[]> {
  const values: number[] = [];
  for await (const { loss } of run) if (values.push(loss) >= steps) break;
  return values;
}

const code = (expected: string) => expect.objectContaining({ code: expected });

describe('a run', { timeout: 600_000 }, () => {
  it('learns, reports, and leaves nothing behind', async () => {
    const before = backend.memory();
    const run = await smallRun({ backend });
    const seen = [];
    for await (const progress of run) seen.push(progress);
    expect(seen.map(({ step }) => step)).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
    const last = seen.at(-1)!;
    expect(last.loss).toBeLessThan(0.8 * seen[0]!.loss);
    expect(last).toMatchObject({ steps: STEPS, tokens: 4 * 12, totalTokens: STEPS * 4 * 12, learningRate: 5e-3 });
    expect(last.tokensPerSecond).toBeGreaterThan(0);
    expect(last.maxViolation).toBe(Math.max(...last.violations.values()));
    expect([...last.load.keys()]).toEqual([1, 2]);
    expect(last.mtpLoss).toHaveLength(1);
    expect(await losses(run)).toEqual([]);
    run.dispose();
    expect(backend.memory()).toEqual(before);
  });

  it('goes on where a loop left it, with the same numbers', async () => {
    using whole = await smallRun({ backend });
    using parts = await smallRun({ backend });
    const expected = await losses(whole, 5);
    expect([...(await losses(parts, 2)), ...(await losses(parts, 3))]).toEqual(expected);
  });

  it('stops between two steps when it is told to', async () => {
    const controller = new AbortController();
    using run = await smallRun({ backend, signal: controller.signal });
    const steps: number[] = [];
    const looping = (async () => {
      for await (const { step } of run) {
        steps.push(step);
        if (step === 2) controller.abort(new Error('enough'));
      }
    })();
    await expect(looping).rejects.toThrow('enough');
    expect(steps).toEqual([1, 2]);
  });

  it('evaluates without recording or changing anything', async () => {
    using run = await smallRun({ backend });
    const before = backend.memory();
    const batches = [smallData.batch(0, 3), smallData.batch(9, 1)];
    const first = await evaluate(run.model, batches);
    expect(backend.memory()).toEqual(before);
    await losses(run, 8);
    expect(await evaluate(run.model, batches)).toBeLessThan(first);
    expect(first).toBeCloseTo(Math.log(smallConfig.vocabSize), 0);
  });

  it('takes options that make sense only', async () => {
    const bad = [{ steps: 0 }, { batchSize: 1.5 }, { accumulate: -1 }, { balance: { sequenceAlpha: -1 } }];
    for (const options of bad) {
      const started = train(smallConfig, { backend, data: smallData, steps: 1, ...options });
      await expect(started).rejects.toEqual(code('INVALID_ARGUMENT'));
    }
    const short = { ...smallConfig, maxPositionEmbeddings: 8 };
    await expect(train(short, { backend, data: smallData, steps: 1 })).rejects.toEqual(code('INVALID_ARGUMENT'));
  });
});

describe('checkpoints', { timeout: 600_000 }, () => {
  it.each([
    ['f32', { precision: 'f32' }],
    ['fp8', { precision: 'fp8' }],
    ['Muon', { optimizer: { algorithm: 'muon' } }],
    ['Muon with BF16 momenta', { optimizer: { algorithm: 'muon', moments: 'bf16' } }],
  ] as const)('a resumed run gives the same numbers, bit for bit (%s)', async (_, options) => {
    using whole = await smallRun({ backend, ...options });
    const expected = await losses(whole);
    {
      using first = await smallRun({ backend, ...options, checkpoint: { folder, every: 5 } });
      expect(await losses(first, 7)).toEqual(expected.slice(0, 7));
    }
    using second = await smallRun({ backend, ...options, checkpoint: { folder, every: 5 } });
    expect(second.step).toBe(5);
    expect(await losses(second)).toEqual(expected.slice(5));
    expect(await readdir(folder)).toEqual([STATE_FILE]);
    using third = await smallRun({ backend, ...options, checkpoint: { folder, every: 5 } });
    expect(third.step).toBe(STEPS);
    for (const [name, { tensor }] of whole.model.parameters) {
      expect(await third.model.parameters.get(name)!.tensor.read(), name).toEqual(await tensor.read());
    }
  });

  it('are written when told to only, if that is asked for', async () => {
    using run = await smallRun({ backend, checkpoint: { folder, every: null }, steps: 2 });
    await losses(run);
    expect(await readdir(folder)).toEqual([]);
    await run.checkpoint();
    using resumed = await smallRun({ backend, checkpoint: { folder, every: null }, steps: 2 });
    expect(resumed.step).toBe(2);
  });

  it('also from memory, where there are no folders', async () => {
    using run = await smallRun({ backend });
    await losses(run, 3);
    const sink = new MemorySink();
    await run.writeState(sink);
    const expected = await losses(run);
    using resumed = await smallRun({ backend, resume: new MemorySource(sink.bytes(), 'state') });
    expect(await losses(resumed)).toEqual(expected);
  });

  it('survive kill -9 at any moment', async () => {
    using whole = await smallRun({ backend });
    const expected = await losses(whole);
    const seen = new Map<number, number>();
    let kills = 0;
    for (let attempt = 0; !seen.has(STEPS); attempt++) {
      expect(attempt).toBeLessThan(20);
      // Later each time, in steps of a few milliseconds after a line, so that the kill falls into steps and into writing.
      const lines = await runChild([folder, '2', 'f32'], attempt < 4 ? { lines: 3, delay: attempt * 7 } : undefined);
      if (attempt < 4) kills++;
      const steps = lines.map((line) => line.split(' ').map(Number) as [number, number]);
      // At most the steps since the last checkpoint were lost.
      const reached = Math.max(0, ...seen.keys());
      if (steps[0]) expect(steps[0][0]).toBeGreaterThan(reached - 2);
      for (const [step, loss] of steps) {
        expect(loss, `step ${step}`).toBe(expected[step - 1]);
        seen.set(step, loss);
      }
    }
    expect(kills).toBeGreaterThan(0);
    expect([...seen.keys()].sort((a, b) => a - b)).toEqual(expected.map((_, i) => i + 1));
  });

  it('of other settings are refused, with the setting in the message', async () => {
    using run = await smallRun({ backend, checkpoint: { folder, every: 1 } });
    await losses(run, 1);
    const before = backend.memory();
    const other = train({ ...smallConfig, routedScalingFactor: 1.5 }, options());
    await expect(other).rejects.toEqual(code('INVALID_ARGUMENT'));
    await expect(train(smallConfig, { ...options(), batchSize: 3 })).rejects.toThrow(/batchSize 2, not 3/);
    await expect(train(smallConfig, { ...options(), optimizer: { moments: 'f32' } })).rejects.toThrow(/moments/);
    const muon = train(smallConfig, { ...options(), optimizer: { algorithm: 'muon', moments: 'bf16' } });
    await expect(muon).rejects.toThrow(/optimizer "adamw", not "muon"/);
    expect(backend.memory()).toEqual(before);
    function options() {
      return {
        backend,
        data: smallData,
        steps: STEPS,
        batchSize: 2,
        accumulate: 2,
        optimizer: { moments: 'bf16' },
        checkpoint: { folder },
      } as const;
    }
  });

  it('from before there was a choice of optimizers are of AdamW', async () => {
    using run = await smallRun({ backend, checkpoint: { folder, every: 1 } });
    await losses(run, 1);
    const path = join(folder, STATE_FILE);
    const text = (await readFile(path)).toString('latin1');
    expect(text).toContain('optimizer');
    await writeFile(path, Buffer.from(text.replace('optimizer', 'unknown__'), 'latin1'));
    using resumed = await smallRun({ backend, checkpoint: { folder } });
    expect(resumed.step).toBe(1);
  });

  it('that are damaged are refused, and leave nothing behind', async () => {
    using run = await smallRun({ backend, checkpoint: { folder, every: 1 } });
    await losses(run, 1);
    const path = join(folder, STATE_FILE);
    const bytes = await readFile(path);
    const before = backend.memory();
    const resume = () => smallRun({ backend, checkpoint: { folder } });
    await writeFile(path, bytes.subarray(0, bytes.length - 100));
    await expect(resume()).rejects.toEqual(code('SOURCE_TRUNCATED'));
    await writeFile(path, bytes.subarray(0, 5));
    await expect(resume()).rejects.toMatchObject({ name: 'MarianaError' });
    const renamed = Buffer.from(bytes.toString('latin1').replace('mariana.training', 'mariana.nonsense'), 'latin1');
    await writeFile(path, renamed);
    await expect(resume()).rejects.toEqual(code('CHECKPOINT_CORRUPT'));
    const missing = Buffer.from(bytes.toString('latin1').replace('"second.lm_head', '"nobody.lm_head'), 'latin1');
    await writeFile(path, missing);
    await expect(resume()).rejects.toEqual(code('TENSOR_MISSING'));
    expect(backend.memory()).toEqual(before);
  });

  it('that cannot be written fail loudly, and keep the old one', async () => {
    const path = join(folder, 'file');
    await writeFile(path, 'in the way');
    using run = await smallRun({ backend, checkpoint: { folder: path, every: 1 } });
    await expect(run.advance()).rejects.toEqual(code('FILE_WRITE_FAILED'));
    expect(await readFile(path, 'utf8')).toBe('in the way');
  });
});

describe('exports', { timeout: 600_000 }, () => {
  async function exported(dtype: 'f32' | 'bf16' | 'fp8') {
    const run = await smallRun({ backend });
    await losses(run, 2);
    await run.save(folder, { dtype, files: { 'tokenizer.json': '{}' } });
    const config = parseConfig(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')));
    const weights = await Checkpoint.open(new DirectoryFiles(folder));
    return { run, config, weights };
  }

  it.each(['f32', 'bf16', 'fp8'] as const)(
    '%s: a checkpoint that loads, with the values that were trained',
    async (dtype) => {
      const { run, config, weights } = await exported(dtype);
      validateCheckpoint(config, weights);
      expect(config.quantizationConfig !== null).toBe(dtype === 'fp8');
      expect((await readdir(folder)).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json']);
      const inner = reference();
      using model = await Transformer.load(config, weights, { backend: inner, mtp: true });
      for (const { name, tensor } of model.parameters()) {
        const trained =
          run.model.parameters.get(name) ?? [...run.model.parameters.values()].find((p) => p.copies.includes(name));
        const expected = rounded(
          (await trained!.tensor.read()) as Float32Array,
          tensor,
          dtype,
          weights.has(`${name}_scale_inv`),
        );
        expect(await tensor.read(), name).toEqual(expected);
      }
      for (const { layer, router } of run.model.routers) {
        const name = `model.layers.${layer}.mlp.gate.e_score_correction_bias`;
        expect(await weights.readF32(name)).toEqual(await router.correctionBias!.read());
      }
      await weights.close();
      run.dispose();
    },
  );

  function rounded(values: Float32Array, { shape }: Tensor, dtype: 'f32' | 'bf16' | 'fp8', inFp8: boolean) {
    if (dtype === 'f32') return values;
    if (!inFp8) return values.map((value) => decodeBf16(encodeBf16(value)));
    const [rows, columns] = shape as [number, number];
    const { codes, scales } = quantizeBlocks(values, rows, columns);
    return dequantizeBlocks(codes, scales, rows, columns);
  }

  it('with each checkpoint, if they are asked for', async () => {
    using run = await smallRun({ backend, checkpoint: { folder, every: 2, export: 'bf16' } });
    await losses(run, 2);
    expect((await readdir(folder)).sort()).toEqual(['config.json', 'model.safetensors', STATE_FILE]);
  });

  it('of a model without multi-token prediction have none', async () => {
    const config = { ...preset('tiny'), numHiddenLayers: 1, numNextnPredictLayers: 0, tieWordEmbeddings: true };
    using run = await train(config, { backend, data: smallData, steps: 1, batchSize: 1 });
    await losses(run);
    await run.save(folder);
    const weights = await Checkpoint.open(new DirectoryFiles(folder));
    validateCheckpoint(parseConfig(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))), weights);
    expect(weights.names().some((name) => name.includes('eh_proj') || name === 'lm_head.weight')).toBe(false);
    await weights.close();
  });
});

/** Runs the child until it ends, or kills it a moment after it printed some lines; returns the lines. */
async function runChild(args: string[], kill?: { lines: number; delay: number }): Promise<string[]> {
  const script = fileURLToPath(new URL('./support/train-child.ts', import.meta.url));
  const child = spawn(process.execPath, ['--conditions=@mariana/source', script, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [output, errors] = ['', ''];
  child.stderr.on('data', (data) => {
    errors += data;
  });
  child.stdout.on('data', (data) => {
    output += data;
    if (kill && output.split('\n').length > kill.lines) setTimeout(() => child.kill('SIGKILL'), kill.delay);
  });
  const [exit, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.on('close', (code, name) => resolve([code, name]));
  });
  expect(exit === 0 || signal === 'SIGKILL', errors).toBe(true);
  // A line that was cut off by the kill is no line.
  return output.split('\n').slice(0, -1);
}
