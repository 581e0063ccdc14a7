/** A linear layer over a weight of any format, FP8 with 128x128 block scales among them (TRAPS.md section 6). */
import {
  type LoadWeightOptions,
  type ModelConfig,
  type Tensor,
  type Weight,
  type WeightSource,
  weightSource,
} from '@mariana/core';
import { Layer, type LoadOptions, type Parameter, type Weights, weightParameter } from './layer.ts';

/** y = x W^T. */
export class Linear extends Layer {
  readonly name: string;
  readonly weight: Weight;

  /** @param weight - [out, in]; the layer takes it over. */
  constructor(name: string, weight: Weight) {
    super(weight.backend);
    this.name = name;
    this.weight = weight;
  }

  /**
   * Reads the matrix stored under `name`, in the format in which it is stored.
   *
   * @throws MarianaError `TENSOR_MISSING`, `TENSOR_MISMATCH`, `TENSOR_INVALID`.
   */
  static async load(
    config: Pick<ModelConfig, 'quantizationConfig'>,
    weights: Weights,
    name: string,
    { shape, backend, ...options }: LoadOptions & LoadWeightOptions & { readonly shape: readonly [number, number] },
  ): Promise<Linear> {
    return new Linear(name, await backend.loadWeight(sourceOf(config, weights, name, shape), options));
  }

  /** F32 [..., in] to F32 [..., out]. */
  forward(x: Tensor): Tensor {
    return this.backend.linear(x, this.weight);
  }

  protected override ownParameters(): Parameter[] {
    return [weightParameter(this.name, this.weight)];
  }

  override dispose(): void {
    this.weight.dispose();
  }
}

/** A matrix of the checkpoint, with the block size that the config states. */
export function sourceOf(
  config: Pick<ModelConfig, 'quantizationConfig'>,
  weights: Weights,
  name: string,
  shape: readonly [number, number],
): WeightSource {
  const blockSize = config.quantizationConfig?.weightBlockSize;
  return weightSource(weights, name, shape, blockSize ? { blockSize } : {});
}
