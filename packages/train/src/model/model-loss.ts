/**
 * The training objective of the whole model: next-token cross-entropy, the losses of multi-token prediction, and the
 * auxiliary losses that balance experts.
 *
 * Source: DeepSeek-V3 report, sections 2.1.2 and 2.2. That balance losses are summed over layers, and averaged over the
 * sequences of a batch, is a reading: the report defines them for one layer and one sequence.
 */
import { MarianaError, type Routing, type Tensor } from '@mariana/core';
import { sequenceBalanceLoss, switchBalanceLoss } from '../balance/balance-losses.ts';
import { expertLoad } from '../balance/expert-load.ts';
import { crossEntropy } from '../losses/cross-entropy.ts';
import { type DepthPrediction, depthRows, multiTokenPredictionLoss } from '../losses/multi-token-prediction-loss.ts';
import { sumOf } from '../math.ts';
import type { TrainableModel } from './trainable-model.ts';

/** Sequences to learn from, of one length. */
export interface TokenBatch {
  /** sequences * (T + 1) tokens, sequence after sequence; tokens 0 to T - 1 are inputs, 1 to T their targets. */
  readonly tokens: Int32Array;
  readonly sequences: number;
}

/** Which terms the objective has. */
export interface LossOptions {
  /** Factor alpha of the sequence-wise balance loss; 1e-4 in DeepSeek-V3's own training. Default 0: left out. */
  readonly sequenceAlpha?: number;
  /** Factor alpha of the classic balance loss over the batch, for comparison. Default 0: left out. */
  readonly switchAlpha?: number;
  /** Factor lambda of the MTP loss; 0.3, later 0.1. Default 0.3 if the model has MTP modules. 0 leaves them out. */
  readonly mtpWeight?: number;
}

/** The objective and its parts, all F32 scalars; dispose it to free them and the graph behind them. */
export interface ModelLoss extends Disposable {
  /** What is differentiated: the sum of the terms. */
  readonly total: Tensor;
  /** Mean cross-entropy of the main model over all positions. */
  readonly crossEntropy: Tensor;
  /** Both balance losses, factors included, summed over MoE layers; null if none was asked for. */
  readonly balance: Tensor | null;
  /** MTP losses of each depth, before their weight; empty without. */
  readonly mtp: readonly Tensor[];
  /** Choices of each expert, by decoder layer. */
  readonly load: ReadonlyMap<number, Int32Array>;
}

/**
 * Runs a batch through the model and computes the objective.
 *
 * @throws MarianaError `INVALID_ARGUMENT` for a batch that is no whole number of sequences of two or more tokens,
 *   `TOKEN_OUT_OF_RANGE`.
 */
export async function modelLoss(
  model: TrainableModel,
  batch: TokenBatch,
  options: LossOptions = {},
): Promise<ModelLoss> {
  const { backend, transformer } = model;
  const { inputs, targets, length } = shift(batch);
  const observer = new RoutingObserver(model, batch.sequences, options);
  const held: Tensor[] = [];
  try {
    using output = await transformer.forward(inputs, { batch: batch.sequences, onRouting: observer.at(length) });
    const main = backend.scope(() => crossEntropy(backend, output.logits!, targets).loss);
    held.push(main);
    const mtp = await multiTokenLoss(model, batch, output.hidden, observer, options);
    if (mtp) held.push(mtp.weighted, ...mtp.perDepth);
    const balance = observer.loss();
    if (balance) held.push(balance);
    const terms = [main, mtp?.weighted, balance].filter((term) => term !== undefined && term !== null);
    const total = backend.scope(() => sumOf(backend, terms));
    held.push(total);
    return {
      total,
      crossEntropy: main,
      balance,
      mtp: mtp?.perDepth ?? [],
      load: observer.load,
      [Symbol.dispose]: () => dispose(held),
    };
  } catch (error) {
    dispose(held);
    throw error;
  } finally {
    observer[Symbol.dispose]();
  }
}

/** Inputs and targets of each sequence: all but its last, all but its first token. */
export function shift({ tokens, sequences }: TokenBatch): { inputs: Int32Array; targets: Int32Array; length: number } {
  const stride = tokens.length / sequences;
  if (!Number.isInteger(stride) || stride < 2) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `a batch of ${tokens.length} tokens is not ${sequences} sequences of two or more tokens`,
    );
  }
  const length = stride - 1;
  const take = (from: number) =>
    Int32Array.from({ length: sequences * length }, (_, i) => {
      return tokens[Math.floor(i / length) * stride + (i % length) + from]!;
    });
  return { inputs: take(0), targets: take(1), length };
}

/** Runs the MTP modules one after the other, each on what the one before it made. */
async function multiTokenLoss(
  model: TrainableModel,
  { tokens, sequences }: TokenBatch,
  mainHidden: Tensor,
  observer: RoutingObserver,
  { mtpWeight = 0.3 }: LossOptions,
) {
  const { backend, transformer, config } = model;
  if (transformer.mtp.length === 0 || mtpWeight === 0) return null;
  const positions = mainHidden.shape[0]!;
  const depths: DepthPrediction[] = [];
  let hidden = backend.reshape(mainHidden, mainHidden.shape);
  try {
    for (const [index, module] of transformer.mtp.entries()) {
      const { rowsPerSequence, nextIds, targets } = depthRows(tokens, sequences, index + 1);
      using rows = firstRows(hidden, sequences, rowsPerSequence);
      using ids = backend.upload(nextIds, [nextIds.length]);
      const observe = observer.at(rowsPerSequence);
      const output = await module.forward(
        { nextIds: ids, hidden: rows },
        { batch: sequences, onRouting: (routing) => observe(config.numHiddenLayers + index, routing) },
      );
      hidden.dispose();
      hidden = output.hidden;
      depths.push({ logits: output.logits, targets });
    }
    return multiTokenPredictionLoss(backend, depths, { positions, weight: mtpWeight });
  } finally {
    hidden.dispose();
    for (const { logits } of depths) logits.dispose();
  }
}

/** The first `count` rows of each of the sequences stacked in x. */
function firstRows(x: Tensor, sequences: number, count: number): Tensor {
  const { backend } = x;
  const width = x.shape[1]!;
  return backend.scope(() => {
    const apart = backend.reshape(x, [sequences, x.shape[0]! / sequences, width]);
    return backend.reshape(backend.slice(apart, 1, 0, count), [sequences * count, width]);
  });
}

/** Takes loads and balance losses from the routing of each layer while it is there. */
class RoutingObserver implements Disposable {
  readonly load = new Map<number, Int32Array>();
  readonly #model: TrainableModel;
  readonly #sequences: number;
  readonly #options: LossOptions;
  readonly #losses: Tensor[] = [];

  constructor(model: TrainableModel, sequences: number, options: LossOptions) {
    this.#model = model;
    this.#sequences = sequences;
    this.#options = options;
  }

  /** The callback for layers that see sequences of `length` rows. */
  at(length: number): (layer: number, routing: Routing) => Promise<void> {
    return async (layer, routing) => {
      const { backend, config } = this.#model;
      const { sequenceAlpha = 0, switchAlpha = 0 } = this.#options;
      const topK = config.numExpertsPerTok;
      if (sequenceAlpha > 0) {
        const sequenceLengths = new Array<number>(this.#sequences).fill(length);
        const options = { topK, alpha: sequenceAlpha, sequenceLengths };
        this.#losses.push(backend.scope(() => sequenceBalanceLoss(backend, routing.scores, options).loss));
      }
      if (switchAlpha > 0) {
        const options = { topK, alpha: switchAlpha };
        this.#losses.push(backend.scope(() => switchBalanceLoss(backend, routing.scores, options).loss));
      }
      const indices = (await backend.read(routing.indices)) as Int32Array;
      this.load.set(layer, expertLoad(indices, config.nRoutedExperts));
    };
  }

  /** The balance losses of all layers together. */
  loss(): Tensor | null {
    const { backend } = this.#model;
    if (this.#losses.length === 0) return null;
    // A handle of its own, since the sum of one is that one.
    return backend.scope(() => backend.reshape(sumOf(backend, this.#losses), []));
  }

  [Symbol.dispose](): void {
    dispose(this.#losses);
  }
}

function dispose(tensors: readonly Tensor[]): void {
  for (const tensor of tensors) tensor.dispose();
}
