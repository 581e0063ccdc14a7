/** Root-mean-square norm (DS `RMSNorm`; HF `DeepseekV3RMSNorm`). */
import { readVector, type Tensor } from '@mariana/core';
import { Layer, type LoadOptions, type Parameter, type Weights } from './layer.ts';

/** x / sqrt(mean(x^2) + epsilon) * weight, over the last axis. */
export class RmsNorm extends Layer {
  readonly name: string;
  readonly epsilon: number;
  #weight: Tensor;

  /**
   * @param weight - F32 [width]; the layer takes it over.
   * @param epsilon - Added to the mean square.
   */
  constructor(name: string, weight: Tensor, epsilon: number) {
    super(weight.backend);
    this.name = name;
    this.epsilon = epsilon;
    this.#weight = weight;
  }

  /** Reads the norm stored under `name` (such as `model.norm.weight`). */
  static async load(
    weights: Weights,
    name: string,
    { width, epsilon, backend }: LoadOptions & { readonly width: number; readonly epsilon: number },
  ): Promise<RmsNorm> {
    return new RmsNorm(name, await readVector(weights, name, width, backend), epsilon);
  }

  get weight(): Tensor {
    return this.#weight;
  }

  set weight(tensor: Tensor) {
    if (tensor !== this.#weight) this.#weight.dispose();
    this.#weight = this.backend.keep(tensor);
  }

  /** F32 [..., width] to the same shape. */
  forward(x: Tensor): Tensor {
    return this.backend.rmsNorm(x, this.#weight, this.epsilon);
  }

  protected override ownParameters(): Parameter[] {
    return [vectorParameter(this.name, this)];
  }

  override dispose(): void {
    this.#weight.dispose();
  }
}

/** A vector held in a `weight` property as a parameter. */
function vectorParameter(name: string, holder: { weight: Tensor }): Parameter {
  return {
    name,
    get tensor() {
      return holder.weight;
    },
    set tensor(tensor) {
      holder.weight = tensor;
    },
  };
}
