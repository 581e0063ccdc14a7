import { isMarianaError } from '@mariana/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadFinding, lossFinding, lossPoints } from '../../src/places/train/findings.ts';
import { COLUMNS, fullest, relativeLoads, shares } from '../../src/places/train/loads.ts';
import { outlookOf } from '../../src/places/train/outlook.ts';
import { settingsFromParameters, settingsToParameters } from '../../src/places/train/settings-address.ts';
import { defaultSettings } from '../../src/worker/train-plan.ts';
import { BALANCES, type RunFacts, SIZES, type StepMetrics } from '../../src/worker/train-protocol.ts';

const facts = { moeLayers: [1, 2], experts: 4, vocabSize: 512 } as unknown as RunFacts;

const line = (step: number, loss: number, load: number[][] = [[1, 1, 1, 1]], heldOut?: number): StepMetrics => ({
  step,
  loss,
  tokensPerSecond: 1000 + step,
  seconds: step / 2,
  maxViolation: 0,
  load,
  ...(heldOut !== undefined && { heldOut }),
});

describe('the sentence of the loss', () => {
  it('says what comes while there is nothing, and what one step says', () => {
    expect(lossFinding([], facts)).toMatch(/will be drawn/);
    expect(lossFinding([line(1, Math.log(512))], facts)).toBe(
      "The first step's loss is 6.24 nats a token: the model is as unsure as between 512 of its 512 tokens.",
    );
  });

  it('compares with the start, and with text that is not learned from', () => {
    const metrics = Array.from({ length: 20 }, (_, i) =>
      line(i + 1, i < 10 ? 6 : 3, undefined, i === 19 ? 3.25 : undefined),
    );
    expect(lossFinding(metrics, facts)).toBe(
      'In 20 steps the loss fell from 6.00 to 3.00 nats a token: the model is as unsure as between 20.1 of its 512 tokens. ' +
        'On text that it does not learn from the loss is 3.25, 0.25 higher.',
    );
  });

  it('says when it begins to learn by heart, and when nothing is learned', () => {
    const metrics = [line(1, 6, undefined, 5), line(2, 4, undefined, 4), line(3, 2, undefined, 4.5)];
    expect(lossFinding(metrics, facts)).toMatch(/best at step 2 \(4\.00\); now it is at 4\.50.*by heart\.$/);
    expect(lossFinding([line(1, 2), line(2, 4)], facts)).toMatch(/rose from 2\.00 to 3\.00/);
  });
});

describe('the sentence of the load', () => {
  it('names layer, expert, share and what would be even', () => {
    const metrics = [
      line(1, 1, [
        [1, 1, 1, 1],
        [5, 1, 1, 1],
      ]),
      line(2, 1, [
        [1, 1, 1, 1],
        [1, 1, 1, 1],
      ]),
    ];
    expect(loadFinding(metrics, facts)).toBe(
      "In the last 2 steps layer 2 sent 50.0 % of its tokens' choices to expert 0; even would be 25.0 %.",
    );
    expect(fullest(metrics, facts)).toEqual({ layer: 2, expert: 0, share: 0.5 });
    expect(loadFinding([], facts)).toMatch(/will be drawn/);
  });

  it('remembers when the run was most uneven, if it is less so now', () => {
    const load = (step: number) => (step > 20 && step <= 40 ? [[4, 0, 0, 0]] : [[1, 1, 1, 1]]);
    const metrics = Array.from({ length: 70 }, (_, i) => line(i + 1, 1, load(i + 1)));
    expect(loadFinding(metrics, facts)).toBe(
      "In the last 20 steps layer 1 sent 25.0 % of its tokens' choices to expert 0; even would be 25.0 %. " +
        'At its most uneven, in steps 21 to 40, one expert took 100 %, 4 times its even part.',
    );
    expect(loadFinding(metrics.slice(0, 40), facts)).toMatch(/expert 0; even would be 25\.0 %\.$/);
  });
});

describe('pictures', () => {
  const loads = fc.array(fc.array(fc.nat(100), { minLength: 4, maxLength: 4 }), { minLength: 1, maxLength: 700 });

  it('of loads have few columns, and each is even on average', () => {
    fc.assert(
      fc.property(loads, (all) => {
        const metrics = all.map((load, i) => line(i + 1, 1, [load]));
        const columns = relativeLoads(metrics, 0);
        expect(columns.length).toBeLessThanOrEqual(COLUMNS);
        for (const column of columns) {
          const sum = column.reduce((a, b) => a + b, 0);
          expect(sum === 0 || Math.abs(sum - 4) < 1e-9).toBe(true);
        }
        const total = shares(metrics, 0).reduce((a, b) => a + b, 0);
        expect(total === 0 || Math.abs(total - 1) < 1e-9).toBe(true);
      }),
    );
  });

  it('of losses keep the mean whatever they leave out', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 9, noNaN: true }), { minLength: 1, maxLength: 50 }), (losses) => {
        const metrics = losses.map((loss, i) => line(i + 1, loss));
        expect(lossPoints(metrics).map(({ loss }) => loss)).toEqual(losses);
        const [all] = lossPoints(metrics, 1);
        expect(all!.loss).toBeCloseTo(losses.reduce((a, b) => a + b, 0) / losses.length, 9);
      }),
    );
  });
});

describe('the outlook', () => {
  it('goes by the last steps', () => {
    expect(outlookOf([], 10)).toBeNull();
    expect(outlookOf([line(1, 1)], 11)).toEqual({ tokensPerSecond: 1001, secondsLeft: 5 });
    // Slow at first: 100 steps of a second each, then of half a second.
    const metrics = Array.from({ length: 200 }, (_, i) => ({
      ...line(i + 1, 1),
      seconds: i < 100 ? i : 100 + (i - 100) / 2,
    }));
    expect(outlookOf(metrics, 300)!.secondsLeft).toBeCloseTo(50, 9);
    expect(outlookOf(metrics, 200)!.secondsLeft).toBe(0);
  });
});

describe('the address of settings', () => {
  it('brings back every choice, and says little of usual ones', () => {
    expect(settingsToParameters(defaultSettings('small'))).toEqual({ size: 'small' });
    expect(settingsFromParameters({})).toEqual(defaultSettings('small'));
    const settings = fc.record({
      size: fc.constantFrom(...SIZES),
      steps: fc.integer({ min: 1, max: 20_000 }),
      learningRate: fc.double({ min: 1e-6, max: 0.1, noNaN: true }),
      balance: fc.constantFrom(...BALANCES),
      seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      prompt: fc.string({ maxLength: 100 }),
    });
    fc.assert(
      fc.property(settings, (given) => {
        const address = new URLSearchParams(settingsToParameters(given)).toString();
        const wanted = { ...given, prompt: given.prompt.toWellFormed() };
        expect(settingsFromParameters(Object.fromEntries(new URLSearchParams(address)))).toEqual(wanted);
      }),
    );
  });

  it.each([{ size: 'giant' }, { steps: '' }, { steps: '1.5' }, { rate: 'fast' }, { balance: 'x' }, { seed: '-1' }])(
    'refuses %o in words',
    (parameters) => {
      let error: unknown;
      try {
        settingsFromParameters(parameters as Record<string, string>);
      } catch (thrown) {
        error = thrown;
      }
      expect(isMarianaError(error) && error.code).toBe('USAGE');
    },
  );
});
