import { cpu } from '@mariana/backend-cpu';
import { isMarianaError, MemoryFiles } from '@mariana/core';
import { Model } from '@mariana/runtime';
import { train } from '@mariana/train';
import { describe, expect, it } from 'vitest';
import { balanceOf, scheduleOf } from '../../src/worker/train-options.ts';
import { BATCH } from '../../src/worker/train-plan.ts';
import { prepare } from '../../src/worker/train-prepare.ts';
import type { TrainSettings } from '../../src/worker/train-protocol.ts';
import { MemoryStore, never, SETTINGS, sessionOf, TEXT, Told } from './support.ts';

const order = { from: 'text', settings: SETTINGS, text: TEXT, textName: 'fox.txt' } as const;

async function failure(run: () => Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await run();
  } catch (error) {
    if (isMarianaError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('a run', () => {
  it('computes what the SDK computes, and tells of every step', async () => {
    const told = new Told();
    await sessionOf(null).run(order, told.emit, never);

    const prepared = await prepare(TEXT, 'fox.txt', SETTINGS, { onProgress: () => {}, signal: never });
    const backend = await cpu({ threads: 1 });
    using run = await train(prepared.config, {
      backend,
      data: prepared.data,
      steps: SETTINGS.steps,
      batchSize: BATCH,
      learningRate: scheduleOf(SETTINGS),
      balance: balanceOf(SETTINGS),
      seed: SETTINGS.seed,
    });
    const losses: number[] = [];
    for await (const { crossEntropy } of run) losses.push(crossEntropy);
    expect(told.losses).toEqual(losses);
    expect(losses.at(-1)).toBeLessThan(losses[0]!);

    const [{ facts }] = told.of('ready') as [(typeof told.of<'ready'>)['prototype']];
    expect(facts).toMatchObject({
      parameters: run.model.size,
      tokens: prepared.tokens,
      moeLayers: [1, 2],
      experts: 8,
      tokensPerStep: 512,
    });
    const lines = told.of('steps').flatMap(({ metrics }) => metrics);
    expect(lines.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const { load, heldOut, seconds } of lines) {
      // Every token takes two experts in each layer.
      expect(load.map((layer) => layer.reduce((sum, count) => sum + count, 0))).toEqual([1024, 1024]);
      expect(heldOut).toBeGreaterThan(0);
      expect(seconds).toBeGreaterThan(0);
    }
    expect(told.states).toEqual(['preparing', 'running', 'finished']);
  });

  it('hands over a checkpoint that writes what the last sample wrote', async () => {
    const told = new Told();
    const session = sessionOf(null);
    await session.run(order, told.emit, never);
    const samples = told.of('sample').flatMap(({ sample }) => (sample.done ? [sample] : []));
    expect(samples.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 5, 6]);

    const { step, files } = await session.export();
    expect(step).toBe(6);
    expect(Object.keys(files).sort()).toEqual([
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    const model = await Model.load(new MemoryFiles(files), { backend: await cpu({ threads: 1 }) });
    let text = '';
    const options = { maxTokens: 96, temperature: 0.8, topP: 0.95, seed: SETTINGS.seed };
    for await (const chunk of model.session().generate('Once upon', options)) text += chunk.text;
    expect(text).toBe(samples.at(-1)!.text);
    expect((await session.sample('The hen')).prompt).toBe('The hen');
  });

  it('that was paused and closed goes on as if it never had been', async () => {
    const whole = new Told();
    await sessionOf(null).run(order, whole.emit, never);

    const store = new MemoryStore();
    const first = sessionOf(store);
    const told = new Told();
    const paused = told.next((event) => event.type === 'state' && event.state === 'paused');
    const third = told.next((event) => event.type === 'steps' && event.metrics.some(({ step }) => step >= 3));
    const leaving = new AbortController();
    const running = first.run(order, told.emit, leaving.signal);
    await third;
    first.pause();
    await paused;
    const step = told.of('saved').at(-1)!.step;
    expect(step).toBe(told.losses.length);
    expect(step).toBeLessThan(6);
    leaving.abort();
    await expect(running).rejects.toThrow();

    const second = sessionOf(store);
    expect(await second.find()).toMatchObject({ keeps: true, run: { step, textName: 'fox.txt', settings: SETTINGS } });
    const after = new Told();
    const resting = after.next((event) => event.type === 'state' && event.state === 'paused');
    const rest = second.run({ from: 'kept' }, after.emit, never);
    await resting;
    const ready = after.of('ready')[0]!;
    expect(ready.metrics.map(({ loss }) => loss)).toEqual(told.losses);
    expect(ready.samples.map(({ text }) => text)).toEqual(
      told.of('sample').flatMap(({ sample }) => (sample.done ? [sample.text] : [])),
    );
    second.proceed();
    await rest;
    expect([...told.losses, ...after.losses]).toEqual(whole.losses);
    expect(after.states).toEqual(['preparing', 'pausing', 'paused', 'running', 'finished']);
    expect(await sessionOf(store).find()).toMatchObject({ run: { step: 6 } });
  });

  it('goes on from its last save, if the tab was closed between two', async () => {
    const store = new MemoryStore();
    await sessionOf(store).run(order, () => {}, never);
    const files = new Map(store.files);
    // The state of step 6 is there, and metrics that know of a seventh.
    const { metrics, samples } = JSON.parse(await files.get('metrics.json')!.text());
    metrics.push({ ...metrics.at(-1), step: 7 });
    store.files.set('metrics.json', new Blob([JSON.stringify({ metrics, samples })]));
    const told = new Told();
    await sessionOf(store).run({ from: 'kept' }, told.emit, never);
    expect(told.of('ready')[0]!.metrics).toHaveLength(6);
    expect(told.states.at(-1)).toBe('finished');
  });

  it('starts over when it was closed before its first save', async () => {
    const store = new MemoryStore();
    store.refused.add('state.safetensors');
    const told = new Told();
    await sessionOf(store).run(order, told.emit, never);
    expect(told.of('not-saved')[0]).toMatchObject({ error: { code: 'FILE_WRITE_FAILED' }, lastSavedStep: null });
    expect(told.states.at(-1)).toBe('finished');
    store.refused.clear();
    expect(await sessionOf(store).find()).toMatchObject({ run: { step: 0, savedAt: null } });
    const again = new Told();
    const session = sessionOf(store);
    const resting = again.next((event) => event.type === 'state' && event.state === 'paused');
    const rest = session.run({ from: 'kept' }, again.emit, never);
    await resting;
    session.proceed();
    await rest;
    expect(again.losses).toEqual(told.losses);
  });

  it('keeps what was saved when the storage fills up, and trains on', async () => {
    const store = new MemoryStore();
    const session = sessionOf(store);
    const told = new Told();
    const second = told.next((event) => event.type === 'steps' && event.metrics.some(({ step }) => step >= 2));
    const running = session.run(order, told.emit, never);
    await second;
    await session.save();
    const saved = told.of('saved')[0]!.step;
    store.refused.add('state.safetensors');
    await running;
    expect(told.of('not-saved')[0]).toMatchObject({ lastSavedStep: saved });
    expect(told.losses).toHaveLength(6);
    expect(await sessionOf(store).find()).toMatchObject({ run: { step: saved } });
  });

  it('that is discarded leaves nothing, and the next one begins', async () => {
    const store = new MemoryStore();
    const locks = { held: false };
    const session = sessionOf(store, locks);
    const told = new Told();
    const first = told.next((event) => event.type === 'steps');
    const running = session.run({ ...order, settings: { ...SETTINGS, steps: 1000 } }, told.emit, never);
    const outcome = expect(running).rejects.toThrow(/discarded/);
    await first;
    await session.discard();
    await outcome;
    expect(store.files.size).toBe(0);
    expect(locks.held).toBe(false);
    expect(await session.find()).toEqual({ run: null, keeps: true });
    const next = new Told();
    await session.run(order, next.emit, never);
    expect(next.losses).toHaveLength(6);
  });
});

describe('what cannot be', () => {
  const refused = (change: object): [string, () => Promise<unknown>] => [
    JSON.stringify(change).slice(0, 40),
    () => sessionOf(null).run({ ...order, ...change }, () => {}, never),
  ];
  const settings = (change: Partial<Record<keyof TrainSettings, unknown>>) =>
    refused({ settings: { ...SETTINGS, ...change } });

  it.each<[string, () => Promise<unknown>, string, RegExp]>([
    [...refused({ text: ' \n ' }), 'DATA_INVALID', /fox\.txt: there is no text.*paste/],
    [...refused({ text: 'Too short.' }), 'INVALID_ARGUMENT', /do not fill one sequence.*more text/],
    [...refused({ text: 'long '.repeat(900_000) }), 'DATA_INVALID', /4500000 bytes.*part of the text/],
    [...settings({ steps: 0 }), 'USAGE', /steps of the run is 0: use a whole number from 1/],
    [...settings({ size: 'huge' }), 'USAGE', /small, medium, large/],
    [...settings({ balance: 'luck' }), 'USAGE', /bias, loss, none/],
    [...settings({ learningRate: Number.NaN }), 'USAGE', /learning rate.*NaN/],
    [...settings({ seed: -1 }), 'USAGE', /seed.*-1/],
  ])('%s is refused in words', async (_, run, code, message) => {
    const error = await failure(run);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  it('two runs at once, here or in another tab', async () => {
    const locks = { held: false };
    const session = sessionOf(new MemoryStore(), locks);
    const told = new Told();
    const first = told.next((event) => event.type === 'steps');
    const running = session.run(order, told.emit, never);
    await first;
    expect((await failure(() => session.run(order, () => {}, never))).message).toMatch(/under way/);
    expect((await failure(() => sessionOf(null, locks).run(order, () => {}, never))).message).toMatch(/another tab/);
    await running;
  });

  it('a run that nobody kept, or whose state is damaged', async () => {
    const store = new MemoryStore();
    const session = sessionOf(store);
    expect((await failure(() => session.run({ from: 'kept' }, () => {}, never))).code).toBe('FILE_NOT_FOUND');
    expect((await failure(() => session.export())).code).toBe('USAGE');
    await session.run(order, () => {}, never);
    store.files.set('state.safetensors', store.files.get('state.safetensors')!.slice(0, 5000));
    const error = await failure(() => session.run({ from: 'kept' }, () => {}, never));
    expect(['CHECKPOINT_CORRUPT', 'SOURCE_TRUNCATED']).toContain(error.code);
    // The right to train was given back.
    const told = new Told();
    await session.run(order, told.emit, never);
    expect(told.losses).toHaveLength(6);
  });
});
