/** AdamW, clipping and schedules against the fixture train-adamw. */
import { reference } from '@mariana/backend-reference';
import type { Tensor } from '@mariana/core';
import { describe, expect, it } from 'vitest';
import {
  type AdamWState,
  adamwStep,
  clipByGlobalNorm,
  constantSchedule,
  deepSeekV3Schedules,
  phasedSchedule,
  warmupCosineSchedule,
  warmupStableDecaySchedule,
} from '../src/index.ts';
import { expectRelative, Golden } from './support/golden.ts';

interface AdamWConfig {
  beta1: number;
  beta2: number;
  eps: number;
  weight_decay: number;
  clip: number;
  peak_lr: number;
  min_lr: number;
  warmup_steps: number;
  total_steps: number;
}

const golden = await Golden.open('train-adamw');
const config = await golden.config<AdamWConfig>();
const NAMES = ['embed', 'proj', 'norm'];
const STEPS = 5;
const schedule = warmupCosineSchedule({
  peak: config.peak_lr,
  min: config.min_lr,
  warmupSteps: config.warmup_steps,
  totalSteps: config.total_steps,
});

/** Five clipped steps; calls back with the states after each. */
async function run(
  moments: 'f32' | 'bf16',
  after: (step: number, states: Map<string, AdamWState>, norm: Tensor, coefficient: Tensor) => Promise<void>,
) {
  const backend = reference();
  const states = new Map<string, AdamWState>();
  for (const name of NAMES) {
    const shape = await golden.shape(`p.0.${name}`);
    const parameter = backend.upload(await golden.floats(`p.0.${name}`), shape);
    const zeros = () => backend.cast(backend.upload(new Float32Array(parameter.size), shape), moments);
    states.set(name, { parameter, firstMoment: zeros(), secondMoment: zeros() });
  }
  for (let step = 1; step <= STEPS; step++) {
    const raw = await Promise.all(
      NAMES.map(async (name) =>
        backend.upload(await golden.floats(`g.${step}.${name}`), await golden.shape(`g.${step}.${name}`)),
      ),
    );
    const { gradients, norm, coefficient } = clipByGlobalNorm(backend, raw, config.clip);
    NAMES.forEach((name, i) => {
      const next = adamwStep(backend, states.get(name)!, gradients[i]!, {
        step,
        learningRate: schedule(step),
        beta1: config.beta1,
        beta2: config.beta2,
        epsilon: config.eps,
        weightDecay: config.weight_decay,
      });
      states.set(name, next);
    });
    await after(step, states, norm, coefficient);
  }
}

describe('train-adamw', () => {
  it('five steps with F32 moments, clipped and not', async () => {
    const [norms, coefficients] = [await golden.floats('grad_norm'), await golden.floats('clip_coef')];
    await run('f32', async (step, states, norm, coefficient) => {
      expectRelative('grad_norm', await norm.read(), [norms[step - 1]!], 1e-6);
      expectRelative('clip_coef', await coefficient.read(), [coefficients[step - 1]!], 1e-6);
      for (const [name, state] of states) {
        const { parameter, firstMoment, secondMoment } = state;
        for (const [part, tensor] of Object.entries({ p: parameter, m: firstMoment, v: secondMoment })) {
          const key = `${part}.${step}.${name}`;
          expectRelative(key, await tensor.read(), await golden.floats(key), 2e-6);
        }
      }
    });
    expect(coefficients.some((c) => c === 1) && coefficients.some((c) => c < 1)).toBe(true);
  });

  it('five steps with BF16 moments: the stored moments exact', async () => {
    await run('bf16', async (step, states) => {
      for (const [name, { parameter, firstMoment, secondMoment }] of states) {
        expectRelative('p', await parameter.read(), await golden.floats(`bf16.p.${step}.${name}`), 2e-6);
        for (const [part, tensor] of Object.entries({ m: firstMoment, v: secondMoment })) {
          expect(tensor.dtype).toBe('bf16');
          const values = await tensor.backend.cast(tensor, 'f32').read();
          expect([...values]).toEqual([...(await golden.floats(`bf16.${part}.${step}.${name}`))]);
        }
      }
    });
  });

  it('the learning rate of each step', async () => {
    const expected = await golden.floats('lr');
    expected.forEach((rate, i) => {
      expectRelative('lr', [schedule(i + 1)], [rate], 1e-6);
    });
    expect(schedule(STEPS + 100)).toBe(config.min_lr);
  });

  it("DeepSeek-V3's own schedules", async () => {
    const { warmup, learningRate, mtpWeight, biasUpdateRate } = deepSeekV3Schedules;
    const compare = async (name: string, actual: (at: number) => number, at: ArrayLike<number>, unit = 1) => {
      const expected = await golden.floats(name);
      expected.forEach((value, i) => {
        expectRelative(`${name} at ${at[i]}`, [actual(at[i]! * unit)], [value], 1e-6);
      });
    };
    await compare('v3.step_lr', warmup, await golden.integers('v3.step'));
    const tokens = await golden.floats('v3.tokens');
    await compare('v3.lr', learningRate, tokens, 1e12);
    await compare('v3.mtp_lambda', mtpWeight, tokens, 1e12);
    await compare('v3.bias_gamma', biasUpdateRate, tokens, 1e12);
  });
});

describe('edges', () => {
  const backend = reference();
  const tensor = (shape: number[]) => backend.upload(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  const code = (expected: string) => expect.objectContaining({ code: expected });

  it('a zero gradient decays a matrix and leaves a vector alone', async () => {
    for (const [shape, expected] of [
      [[1, 2], 2 * (1 - 0.1 * 0.5)],
      [[2], 2],
    ] as const) {
      const parameter = backend.upload(Float32Array.of(2, 2), shape);
      const state = { parameter, firstMoment: tensor([...shape]), secondMoment: tensor([...shape]) };
      const next = adamwStep(backend, state, tensor([...shape]), { step: 1, learningRate: 0.5, weightDecay: 0.1 });
      expectRelative('p', await next.parameter.read(), [expected, expected], 1e-7);
    }
  });

  it('refuses what does not fit', () => {
    const state = { parameter: tensor([2]), firstMoment: tensor([2]), secondMoment: tensor([2]) };
    const options = { step: 1, learningRate: 1 };
    expect(() => adamwStep(backend, state, tensor([3]), options)).toThrow(code('SHAPE_MISMATCH'));
    expect(() => adamwStep(backend, state, tensor([2]), { ...options, step: 0 })).toThrow(code('INVALID_ARGUMENT'));
    expect(() => clipByGlobalNorm(backend, [], 1)).toThrow(code('INVALID_ARGUMENT'));
    expect(() => clipByGlobalNorm(backend, [tensor([2])], 0)).toThrow(code('INVALID_ARGUMENT'));
    expect(() => phasedSchedule([])).toThrow(code('INVALID_ARGUMENT'));
    expect(() =>
      phasedSchedule([
        { until: 5, to: 1 },
        { until: 5, to: 2 },
      ]),
    ).toThrow(code('INVALID_ARGUMENT'));
  });

  it('schedules hold, rise, fall and stay', () => {
    const value = warmupCosineSchedule({ peak: 2, min: 1, warmupSteps: 4, constantSteps: 2, totalSteps: 10 });
    expect([1, 2, 4, 5, 6, 10, 11].map(value)).toEqual([0.5, 1, 2, 2, 2, 1, 1]);
    expect(value(8)).toBeCloseTo(1.5, 12);
    expect(constantSchedule(3)(7)).toBe(3);
    const phases = phasedSchedule([
      { until: 2, to: 1 },
      { until: 4, to: 3 },
    ]);
    expect([0, 2, 3, 4, 9].map(phases)).toEqual([1, 1, 2, 3, 3]);
  });

  it('a decay at the end takes nothing from the steps before it', () => {
    const options = { peak: 4, min: 1, warmupSteps: 2, decaySteps: 4 };
    const value = warmupStableDecaySchedule({ ...options, decayType: 'linear', totalSteps: 10 });
    expect([1, 2, 3, 6, 7, 8, 10, 11].map(value)).toEqual([2, 4, 4, 4, 3.25, 2.5, 1, 1]);
    const root = warmupStableDecaySchedule({ ...options, totalSteps: 10 });
    expect([6, 7, 10].map(root)).toEqual([4, 2.5, 1]);
    const longer = warmupStableDecaySchedule({ ...options, totalSteps: 100 });
    const endless = warmupStableDecaySchedule({ ...options, decaySteps: 0, totalSteps: 6 });
    for (const step of [1, 2, 3, 6]) expect([longer(step), endless(step)]).toEqual([root(step), root(step)]);
    expect([96, 97, 100].map(longer)).toEqual([4, 2.5, 1]);
    expect(() => warmupStableDecaySchedule({ ...options, totalSteps: 5 })).toThrow(code('INVALID_ARGUMENT'));
    expect(warmupStableDecaySchedule({ peak: 4, decaySteps: 3, totalSteps: 3 })(3)).toBe(0);
  });
});
