/**
 * One step of training, in DeepSeek-V3's order: forward passes under the current biases, losses, backward passes, clipping
 * by the norm of all gradients, AdamW, and last the biases, by the load of this step.
 *
 * Source: DeepSeek-V3 report, sections 2.1.2 and 4.2.
 */
import { MarianaError, type Tensor } from '@mariana/core';
import { maxViolation, updateBias } from '../balance/expert-load.ts';
import { type LossOptions, modelLoss, type TokenBatch } from '../model/model-loss.ts';
import type { TrainableModel } from '../model/trainable-model.ts';
import { clipping } from '../optim/clip.ts';
import type { Optimizer, ParameterUpdate } from '../optim/optimizer.ts';

export interface TrainingStepOptions extends LossOptions {
  readonly optimizer: Optimizer;
  readonly learningRate: number;
  /** Largest norm of all gradients together. Default 1. */
  readonly maxGradientNorm?: number;
  /** Step gamma of the routing biases; 0.001 in DeepSeek-V3's own training. Default 0: biases stay. */
  readonly biasUpdateRate?: number;
}

/** What a step measured, all before its update. */
export interface StepReport {
  /** The objective: cross-entropy, weighted MTP losses and balance losses. */
  readonly loss: number;
  /** Mean next-token cross-entropy in nats. */
  readonly crossEntropy: number;
  /** Balance losses with their factors, summed over layers. */
  readonly balanceLoss: number;
  /** MTP loss of each depth, without its weight. */
  readonly mtpLoss: readonly number[];
  /** Norm of all gradients before clipping. */
  readonly gradientNorm: number;
  /** Predicted positions. */
  readonly tokens: number;
  /** Choices of each expert over the whole step, by decoder layer. */
  readonly load: ReadonlyMap<number, Int32Array>;
  /** MaxViolation of each of those. */
  readonly maxViolation: ReadonlyMap<number, number>;
}

/**
 * Learns from one batch, or from several whose gradients are averaged (gradient accumulation), weighted by their numbers
 * of positions.
 *
 * @param batches - Batches of any lengths; at least one.
 * @throws MarianaError what `modelLoss` throws; the model is then as it was.
 */
export async function trainingStep(
  model: TrainableModel,
  batches: TokenBatch | readonly TokenBatch[],
  options: TrainingStepOptions,
): Promise<StepReport> {
  const list = Array.isArray(batches) ? (batches as readonly TokenBatch[]) : [batches as TokenBatch];
  if (list.length === 0) throw new MarianaError('INVALID_ARGUMENT', 'trainingStep: takes at least one batch');
  const accumulator = new Accumulator(model);
  try {
    const tokens = list.reduce((sum, batch) => sum + positions(batch), 0);
    for (const batch of list) await accumulator.add(batch, positions(batch) / tokens, options);
    const gradientNorm = await updateParameters(model, accumulator.gradients, options);
    const { load } = accumulator;
    await updateBiases(model, load, options.biasUpdateRate ?? 0);
    return {
      ...accumulator.losses,
      gradientNorm,
      tokens,
      load,
      maxViolation: new Map([...load].map(([layer, counts]) => [layer, maxViolation(counts)])),
    };
  } finally {
    accumulator[Symbol.dispose]();
  }
}

const positions = ({ tokens, sequences }: TokenBatch) => tokens.length - sequences;

/** Gradients, losses and loads of the batches of one step. */
class Accumulator implements Disposable {
  /** Of the wrapped backend, by parameter name. */
  readonly gradients = new Map<string, Tensor>();
  readonly load = new Map<number, Int32Array>();
  readonly losses = { loss: 0, crossEntropy: 0, balanceLoss: 0, mtpLoss: [] as number[] };
  readonly #model: TrainableModel;

  constructor(model: TrainableModel) {
    this.#model = model;
  }

  async add(batch: TokenBatch, share: number, options: LossOptions): Promise<void> {
    const { backend, parameters } = this.#model;
    using loss = await modelLoss(this.#model, batch, options);
    const { inner } = backend;
    using seed = backend.upload(Float32Array.of(share), loss.total.shape);
    const gradients = backend.backward(loss.total, { seed });
    for (const [name, { tensor }] of parameters) {
      using gradient = gradients.get(tensor)!;
      const sum = this.gradients.get(name);
      const values = backend.unwrap(gradient);
      this.gradients.set(name, sum ? inner.binary('add', sum, values) : inner.reshape(values, values.shape));
      sum?.dispose();
    }
    for (const [layer, counts] of loss.load) {
      const sum = this.load.get(layer);
      this.load.set(layer, sum ? sum.map((count, expert) => count + counts[expert]!) : counts);
    }
    const value = async (tensor: Tensor) => share * (await tensor.read())[0]!;
    this.losses.loss += await value(loss.total);
    this.losses.crossEntropy += await value(loss.crossEntropy);
    if (loss.balance) this.losses.balanceLoss += await value(loss.balance);
    for (const [depth, tensor] of loss.mtp.entries()) {
      this.losses.mtpLoss[depth] = (this.losses.mtpLoss[depth] ?? 0) + (await value(tensor));
    }
  }

  [Symbol.dispose](): void {
    for (const gradient of this.gradients.values()) gradient.dispose();
  }
}

/** Values that are updated together: many tensors to a call, and not all old and new ones in memory at a time. */
const UPDATE_SIZE = 4 << 20;

/** Clips all gradients together and moves every parameter; returns the norm before clipping. */
async function updateParameters(
  model: TrainableModel,
  gradients: ReadonlyMap<string, Tensor>,
  { optimizer, learningRate, maxGradientNorm = 1 }: TrainingStepOptions,
): Promise<number> {
  const { norm, coefficient } = clipping(model.backend.inner, [...gradients.values()], maxGradientNorm);
  try {
    optimizer.beginStep();
    for (const updates of batchesOf(model, gradients)) {
      const next = optimizer.updateAll(updates, { learningRate, gradientScale: coefficient });
      for (const [i, { name, gradient }] of updates.entries()) {
        model.set(name, next[i]!);
        gradient.dispose();
      }
    }
    return (await norm.read())[0]!;
  } finally {
    norm.dispose();
    coefficient.dispose();
  }
}

/** All parameters with their gradients, some at a time. */
function* batchesOf(model: TrainableModel, gradients: ReadonlyMap<string, Tensor>): Generator<ParameterUpdate[]> {
  let updates: ParameterUpdate[] = [];
  let size = 0;
  for (const [name, gradient] of gradients) {
    const parameter = model.backend.unwrap(model.parameters.get(name)!.tensor);
    updates.push({ name, parameter, gradient });
    size += gradient.size;
    if (size < UPDATE_SIZE) continue;
    yield updates;
    updates = [];
    size = 0;
  }
  if (updates.length > 0) yield updates;
}

async function updateBiases(model: TrainableModel, load: ReadonlyMap<number, Int32Array>, rate: number): Promise<void> {
  if (rate === 0) return;
  for (const { layer, router } of model.routers) {
    const [bias, counts] = [router.correctionBias, load.get(layer)];
    if (bias === null || counts === undefined) continue;
    const next = updateBias((await bias.read()) as Float32Array, counts, rate);
    router.correctionBias = model.backend.upload(next, bias.shape);
  }
}
