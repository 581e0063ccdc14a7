/**
 * A model that can be trained: a `Transformer` on an autodiff backend, with its weights marked as parameters and what is
 * shared between its parts held once.
 */
import { DenseWeight, MarianaError, type ModelConfig, type Tensor, type Weight } from '@mariana/core';
import { DeepSeekMoE, type Parameter, type Router, Transformer, type Weights } from '@mariana/layers';
import type { AutodiffBackend } from '../autodiff/index.ts';
import type { Fp8LinearOptions } from '../fp8/linear.ts';
import { type Precision, productFor } from '../fp8/products.ts';

export interface TrainableModelOptions {
  readonly backend: AutodiffBackend;
  /** Train the multi-token-prediction modules too. Default: if the config has any. */
  readonly mtp?: boolean;
  /** Format of the operands of linear layers. Default `f32`. */
  readonly precision?: Precision;
  /** Scale formats of FP8 products. Default: F32 throughout. */
  readonly fp8?: Fp8LinearOptions;
}

/** One trainable tensor. */
export class TrainableParameter {
  /** Name in the checkpoint. */
  readonly name: string;
  /** Other names under which a checkpoint holds copies of it (the embedding and head of MTP modules). */
  readonly copies: readonly string[];
  readonly #places: readonly Parameter[];

  constructor(places: readonly Parameter[]) {
    this.#places = places;
    this.name = places[0]!.name;
    this.copies = [...new Set(places.map(({ name }) => name))].filter((name) => name !== this.name);
  }

  /** The current values, F32, on the autodiff backend. */
  get tensor(): Tensor {
    return this.#places[0]!.tensor;
  }

  set tensor(tensor: Tensor) {
    for (const place of this.#places) place.tensor = tensor;
  }
}

/** The router of one MoE layer. */
export interface RouterAt {
  /** Index of the decoder layer; MTP modules come after the layers of the main model. */
  readonly layer: number;
  readonly router: Router;
}

export class TrainableModel implements Disposable {
  readonly transformer: Transformer;
  readonly backend: AutodiffBackend;
  /** By their names in the checkpoint. `e_score_correction_bias` is not among them: no gradient reaches it. */
  readonly parameters: ReadonlyMap<string, TrainableParameter>;
  /** MoE layers in order, those of MTP modules last. */
  readonly routers: readonly RouterAt[];
  readonly #precision: Precision;
  readonly #fp8: Fp8LinearOptions | undefined;

  private constructor(transformer: Transformer, { backend, precision = 'f32', fp8 }: TrainableModelOptions) {
    this.transformer = transformer;
    this.backend = backend;
    this.#precision = precision;
    this.#fp8 = fp8;
    shareWithMain(transformer);
    this.parameters = groupShared(transformer.parameters());
    for (const parameter of this.parameters.values()) this.#mark(parameter.name, parameter.tensor);
    this.routers = routersOf(transformer);
  }

  /**
   * Loads a checkpoint for training; weights become F32 whatever they were stored as.
   *
   * @throws MarianaError what `Transformer.load` throws.
   */
  static async load(config: ModelConfig, weights: Weights, options: TrainableModelOptions): Promise<TrainableModel> {
    const { backend, mtp = config.numNextnPredictLayers > 0 } = options;
    return new TrainableModel(await Transformer.load(config, weights, { backend, mtp }), options);
  }

  get config(): ModelConfig {
    return this.transformer.config;
  }

  /** Number of trainable values. */
  get size(): number {
    let size = 0;
    for (const { tensor } of this.parameters.values()) size += tensor.size;
    return size;
  }

  /**
   * Gives a parameter new values and frees the old ones.
   *
   * @param values - F32 of the same shape, of the autodiff backend or of the one it wraps; taken over.
   * @throws MarianaError `TENSOR_MISSING`, `SHAPE_MISMATCH`.
   */
  set(name: string, values: Tensor): void {
    const parameter = this.parameters.get(name);
    if (!parameter) throw new MarianaError('TENSOR_MISSING', `${name} is no parameter of this model`);
    if (values.shape.join() !== parameter.tensor.shape.join()) {
      throw new MarianaError('SHAPE_MISMATCH', `${name}: a ${values} cannot replace a ${parameter.tensor}`);
    }
    parameter.tensor = this.#mark(name, values);
  }

  dispose(): void {
    this.transformer.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #mark(name: string, tensor: Tensor): Tensor {
    const product = productFor(name, this.#precision, this.#fp8);
    return this.backend.parameter(tensor, product ? { product } : {});
  }
}

/** MTP modules use the main model's embedding and head: what a checkpoint holds of them are copies. */
function shareWithMain({ embedding, head, mtp }: Transformer): void {
  for (const module of mtp) {
    dense(module.embedding.weight).replace(dense(embedding.weight).tensor);
    dense(module.head.weight).replace(dense(head.weight).tensor);
  }
}

function dense(weight: Weight): DenseWeight {
  if (weight instanceof DenseWeight) return weight;
  throw new MarianaError('NOT_DIFFERENTIABLE', `a weight is held as ${weight.format}, which cannot be trained`);
}

/** One parameter for each tensor, under the first of its names. */
function groupShared(parameters: readonly Parameter[]): Map<string, TrainableParameter> {
  const groups = new Map<Tensor, Parameter[]>();
  for (const parameter of parameters) {
    const group = groups.get(parameter.tensor);
    if (group) group.push(parameter);
    else groups.set(parameter.tensor, [parameter]);
  }
  return new Map([...groups.values()].map((group) => [group[0]!.name, new TrainableParameter(group)]));
}

function routersOf({ layers, mtp }: Transformer): RouterAt[] {
  return [...layers, ...mtp.map((module) => module.decoder)].flatMap(({ feedForward }, layer) =>
    feedForward instanceof DeepSeekMoE ? [{ layer, router: feedForward.router }] : [],
  );
}
