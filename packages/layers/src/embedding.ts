/** Token embeddings. */
import type { ModelConfig, Tensor, Weight } from '@mariana/core';
import { Layer, type LoadOptions, type Parameter, type Weights, weightParameter } from './layer.ts';
import { sourceOf } from './linear.ts';

export class Embedding extends Layer {
  readonly name: string;
  readonly weight: Weight;

  /** @param weight - [vocab_size, hidden_size]; the layer takes it over. */
  constructor(name: string, weight: Weight) {
    super(weight.backend);
    this.name = name;
    this.weight = weight;
  }

  /** Reads the matrix stored under `name` (such as `model.embed_tokens.weight`). */
  static async load(config: ModelConfig, weights: Weights, name: string, { backend }: LoadOptions): Promise<Embedding> {
    const source = sourceOf(config, weights, name, [config.vocabSize, config.hiddenSize]);
    // A table is looked up, not multiplied by: there is nothing to gain from quantising it.
    return new Embedding(name, await backend.loadWeight(source, { precise: true }));
  }

  /** Rows of the matrix: I32 [tokens] to F32 [tokens, hidden_size]. */
  forward(ids: Tensor): Tensor {
    return this.backend.embed(ids, this.weight);
  }

  protected override ownParameters(): Parameter[] {
    return [weightParameter(this.name, this.weight)];
  }

  override dispose(): void {
    this.weight.dispose();
  }
}
