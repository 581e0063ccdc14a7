/** Twenty whole training steps, and five with a strong balance loss, against the fixture train-steps. */
import { reference } from '@mariana/backend-reference';
import { type Backend, parseConfig } from '@mariana/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  autodiff,
  Optimizer,
  type StepReport,
  TrainableModel,
  trainingStep,
  warmupCosineSchedule,
} from '../src/index.ts';
import { expectRelative, expectWithin, GOLDEN_BACKENDS, Golden } from './support/golden.ts';

interface TrainingConfig {
  beta1: number;
  beta2: number;
  eps: number;
  weight_decay: number;
  clip: number;
  peak_lr: number;
  min_lr: number;
  warmup_steps: number;
  total_steps: number;
  bias_update_gamma: number;
  balance_alpha: number;
}

const golden = await Golden.open('train-steps');
const json = await golden.config();
const config = parseConfig(json);
const training = json.training as unknown as TrainingConfig;
const schedule = warmupCosineSchedule({
  peak: training.peak_lr,
  min: training.min_lr,
  warmupSteps: training.warmup_steps,
  totalSteps: training.total_steps,
});

async function setup(inner: Backend) {
  const backend = autodiff(inner);
  const model = await TrainableModel.load(config, await golden.weights(), { backend });
  const optimizer = new Optimizer(inner, {
    beta1: training.beta1,
    beta2: training.beta2,
    epsilon: training.eps,
    weightDecay: training.weight_decay,
  });
  return { inner, model, optimizer };
}

const valuesOf = async (model: TrainableModel, name: string) =>
  (await model.parameters.get(name)!.tensor.read()) as Float32Array;

/** |actual - expected| / |expected - start|, L2 norms. */
function movementDifference(actual: Float32Array, expected: Float32Array, start: Float32Array): number {
  let [off, moved] = [0, 0];
  expected.forEach((value, i) => {
    off += (actual[i]! - value) ** 2;
    moved += (value - start[i]!) ** 2;
  });
  return Math.sqrt(off / moved);
}

/** Runs steps over the batches stored under `prefix`; calls back after each. */
async function run(
  own: Backend,
  prefix: '' | 'strong.',
  alpha: number,
  after: (step: number, model: TrainableModel, report: StepReport) => Promise<void>,
) {
  const { inner, model, optimizer } = await setup(own);
  const batches = await golden.integers(`${prefix}batches`);
  const [steps, sequences, stride] = (await golden.shape(`${prefix}batches`)) as [number, number, number];
  const size = sequences * stride;
  for (let step = 1; step <= steps; step++) {
    const report = await trainingStep(
      model,
      { tokens: batches.slice((step - 1) * size, step * size), sequences },
      {
        optimizer,
        learningRate: schedule(step),
        maxGradientNorm: training.clip,
        sequenceAlpha: alpha,
        biasUpdateRate: training.bias_update_gamma,
      },
    );
    await after(step, model, report);
  }
  optimizer.dispose();
  model.dispose();
  expect(inner.memory().tensors).toBe(0);
}

/** Values of one step out of a tensor whose first axis is the steps. */
async function row(name: string, step: number): Promise<Float32Array | Int32Array> {
  const values = name.endsWith('load') ? await golden.integers(name) : await golden.floats(name);
  const width = values.length / (await golden.shape(name))[0]!;
  return values.slice((step - 1) * width, step * width);
}

async function checkBalancing(prefix: '' | 'strong.', step: number, model: TrainableModel, { load }: StepReport) {
  expect([...load.values()].flatMap((counts) => [...counts])).toEqual([...(await row(`${prefix}load`, step))]);
  const biases: number[] = [];
  for (const { router } of model.routers) biases.push(...(await router.correctionBias!.read()));
  expectWithin(`${prefix}bias`, biases, await row(`${prefix}bias`, step), 1e-6);
}

const LOSS_TOLERANCE = [2e-6, 5e-6, 1e-5];
const MOVEMENT_TOLERANCE: Record<number, number> = { 1: 5e-3, 5: 5e-4, 20: 5e-4 };

describe.each(GOLDEN_BACKENDS)('train-steps on %s', { timeout: 900_000 }, (_, create) => {
  let own: Backend;
  beforeAll(async () => {
    own = await create();
  });
  afterAll(() => own.dispose());

  const starts = new Map<string, Float32Array>();

  it('losses, loads, biases and weights of twenty steps', async () => {
    const { model: untouched } = await setup(own);
    for (const name of untouched.parameters.keys()) starts.set(name, await valuesOf(untouched, name));
    untouched.dispose();
    const names = await golden.names();
    await run(own, '', training.balance_alpha, async (step, model, report) => {
      const tolerance = LOSS_TOLERANCE[step <= 1 ? 0 : step <= 5 ? 1 : 2]!;
      expectWithin('loss.total', [report.loss], await row('loss.total', step), tolerance);
      expectWithin('loss.ce', [report.crossEntropy], await row('loss.ce', step), tolerance);
      expectRelative('loss.balance', [report.balanceLoss], await row('loss.balance', step), 1e-5);
      expectRelative('grad_norm', [report.gradientNorm], await row('grad_norm', step), 1e-5);
      await checkBalancing('', step, model, report);
      const violations = [...report.maxViolation.values()].map(Math.fround);
      expect(violations).toEqual([...(await row('max_violation', step))]);
      for (const stored of names.filter((name) => name.startsWith(`step${step}.`))) {
        const name = stored.slice(`step${step}.`.length);
        const [actual, expected] = [await valuesOf(model, name), await golden.floats(stored)];
        expectWithin(stored, actual, expected, 2e-4);
        expect(movementDifference(actual, expected, starts.get(name)!), stored).toBeLessThan(MOVEMENT_TOLERANCE[step]!);
      }
      if (step === 20) await checkStatistics(model);
    });
  });

  /** For every parameter: sum, L2 norm, L2 norm of the movement. */
  async function checkStatistics(model: TrainableModel) {
    const stored = (await golden.names()).filter((name) => name.startsWith('stat.'));
    expect(stored).toHaveLength(model.parameters.size);
    for (const name of stored) {
      const [expectedSum, expectedNorm, expectedMovement] = await golden.floats(name);
      const values = await valuesOf(model, name.slice('stat.'.length));
      const start = starts.get(name.slice('stat.'.length))!;
      let [sum, squares, moved] = [0, 0, 0];
      values.forEach((value, i) => {
        sum += value;
        squares += value ** 2;
        moved += (value - start[i]!) ** 2;
      });
      const norm = Math.sqrt(squares);

      expectWithin(`${name}: sum`, [sum], [expectedSum!], 1e-4 * norm + 1e-6);
      expectRelative(`${name}: norm`, [norm], [expectedNorm!], 1e-5);
      expectRelative(`${name}: movement`, [Math.sqrt(moved)], [expectedMovement!], 1e-3);
    }
  }

  it('five steps with a strong balance loss', async () => {
    await run(own, 'strong.', 0.05, async (step, model, report) => {
      expectWithin('loss.total', [report.loss], await row('strong.loss.total', step), 5e-6);
      expectWithin('loss.ce', [report.crossEntropy], await row('strong.loss.ce', step), 5e-6);
      expectWithin('loss.balance', [report.balanceLoss], await row('strong.loss.balance', step), 5e-6);
      expectRelative('grad_norm', [report.gradientNorm], await row('strong.grad_norm', step), 1e-5);
      await checkBalancing('strong.', step, model, report);
      if (step < 5) return;
      for (const layer of [1, 2]) {
        const name = `model.layers.${layer}.mlp.gate.weight`;
        const [actual, expected] = [await valuesOf(model, name), await golden.floats(`strong.step5.${name}`)];
        expect(movementDifference(actual, expected, starts.get(name)!), name).toBeLessThan(1e-3);
      }
    });
  });
});

describe('gradient accumulation', { timeout: 300_000 }, () => {
  const setUp = () => setup(reference());

  it('two batches of one sequence move the model as one batch of two, the balance of the batch aside', async () => {
    const batches = await golden.integers('batches');
    const stride = (await golden.shape('batches'))[2]!;
    const sequence = (i: number) => ({ tokens: batches.slice(i * stride, (i + 1) * stride), sequences: 1 });
    const [a, b] = [await setUp(), await setUp()];
    const options = { learningRate: 1e-3, sequenceAlpha: 0.01, biasUpdateRate: 1e-3 };
    const together = { tokens: batches.slice(0, 2 * stride), sequences: 2 };
    const one = await trainingStep(a.model, together, { ...options, optimizer: a.optimizer });
    const two = await trainingStep(b.model, [sequence(0), sequence(1)], { ...options, optimizer: b.optimizer });
    expect(two.tokens).toBe(one.tokens);
    expect([...two.load]).toEqual([...one.load]);
    expectRelative('loss', [two.loss, two.gradientNorm], [one.loss, one.gradientNorm], 1e-6);
    for (const [i, { router }] of a.model.routers.entries()) {
      expect(await router.correctionBias!.read()).toEqual(await b.model.routers[i]!.router.correctionBias!.read());
    }
    for (const name of a.model.parameters.keys()) {
      expectWithin(name, await valuesOf(b.model, name), await valuesOf(a.model, name), 2e-4);
    }
  });

  it('a step without a batch is refused', async () => {
    const { model, optimizer } = await setUp();
    const step = trainingStep(model, [], { optimizer, learningRate: 1 });
    await expect(step).rejects.toEqual(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
