/** What all layers share: parameters that can be listed, replaced and freed. */
import { type Backend, DenseWeight, MarianaError, type Tensor, type TensorReader, type Weight } from '@mariana/core';

/** One trainable tensor of a layer, under its name in the checkpoint. */
export interface Parameter {
  /** Name in the checkpoint, such as `model.layers.3.self_attn.o_proj.weight`. */
  readonly name: string;
  /** The current values. Setting them disposes the tensor they replace. */
  tensor: Tensor;
}

/** How a layer is loaded. */
export interface LoadOptions {
  /** Where its weights are held and its operations run. */
  readonly backend: Backend;
}

/** How a layer of the model is loaded alone. */
export interface LayerLoadOptions extends LoadOptions {
  /** Index of the decoder layer whose weights are read (`model.layers.<layer>`). */
  readonly layer: number;
}

/** Where weights come from: an open checkpoint. */
export type Weights = TensorReader;

/** A layer: holds weights, runs on one backend, is freed by `dispose` or `using`. */
export abstract class Layer implements Disposable {
  readonly backend: Backend;

  protected constructor(backend: Backend) {
    this.backend = backend;
  }

  /** The layers this one is made of, in the order of the computation. */
  protected children(): readonly Layer[] {
    return [];
  }

  /** The parameters of this layer itself, without those of its children. */
  protected ownParameters(): readonly Parameter[] {
    return [];
  }

  /**
   * All trainable parameters.
   *
   * @throws MarianaError `NOT_DIFFERENTIABLE` if a weight is held packed (FP8, INT8, INT4).
   */
  parameters(): Parameter[] {
    return [...this.ownParameters(), ...this.children().flatMap((child) => child.parameters())];
  }

  /** Frees the weights. */
  dispose(): void {
    for (const child of this.children()) child.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A weight as a parameter. */
export function weightParameter(name: string, weight: Weight): Parameter {
  if (!(weight instanceof DenseWeight)) {
    throw new MarianaError(
      'NOT_DIFFERENTIABLE',
      `${name} is held as ${weight.format}; load the model on a backend that keeps dense weights to train it`,
    );
  }
  return {
    name,
    get tensor() {
      return weight.tensor;
    },
    set tensor(tensor) {
      weight.replace(tensor);
    },
  };
}
