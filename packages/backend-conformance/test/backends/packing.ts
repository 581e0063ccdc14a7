/**
 * Backends that hold every weight in one format, whatever it came in, and may round activations to meet it: what the
 * bounds on conversions and on rounded activations are for.
 */
import { ReferenceBackend } from '@mariana/backend-reference';
import {
  type Capabilities,
  type DenseWeight,
  decodeWeight,
  dequantizeBlocks,
  dequantizeGroups,
  fromF32,
  type LoadWeightOptions,
  quantizeBlocks,
  quantizeGroups,
  type Tensor,
  toF32,
  Weight,
  type WeightFormat,
  type WeightSource,
} from '@mariana/core';
import type { ActivationRounding } from '../../src/index.ts';

/** A weight that says it is packed, and keeps its values. */
class PackedWeight extends Weight {
  readonly dense: DenseWeight;

  constructor(dense: DenseWeight, format: WeightFormat) {
    super(dense.backend, dense.shape, format);
    this.dense = dense;
  }

  get byteLength(): number {
    return this.dense.byteLength;
  }

  dispose(): void {
    this.dense.dispose();
  }
}

export class PackingBackend extends ReferenceBackend {
  override readonly name: string = 'packing';
  override readonly capabilities: Capabilities;
  readonly #format: WeightFormat;
  readonly #rounding: ActivationRounding | undefined;

  constructor(format: WeightFormat, rounding?: ActivationRounding) {
    super();
    this.#format = format;
    this.#rounding = rounding;
    this.capabilities = { weightFormats: [format], threads: 1, shaderF16: false, memoryBudget: undefined };
  }

  override async loadWeight(source: WeightSource, options?: LoadWeightOptions): Promise<Weight> {
    if (options?.precise) return super.loadWeight(source);
    const values = await decodeWeight(source);
    const held = source.format === this.#format ? values : requantized(values, source.shape, this.#format);
    const dense = this.denseWeight(this.upload(held, source.shape)) as DenseWeight;
    return new PackedWeight(dense, this.#format);
  }

  override dequantize(weight: Weight): Tensor {
    return weight instanceof PackedWeight && weight.backend === this
      ? super.dequantize(weight.dense)
      : super.dequantize(weight);
  }

  override linear(x: Tensor, weight: Weight): Tensor {
    const rounding = this.#rounding;
    if (!(weight instanceof PackedWeight) || rounding === undefined || x.dtype !== 'f32')
      return super.linear(x, weight);
    const width = x.shape.at(-1) ?? 0;
    const values = this.floats(x).map((value, i, all) => {
      const row = i - (i % width);
      const start = row + Math.floor((i % width) / rounding.group || 0) * Math.min(rounding.group, width);
      const group = all.subarray(start, Math.min(start + rounding.group, row + width));
      const scale = group.reduce((most, member) => Math.max(most, Math.abs(member)), 0) / rounding.levels;
      return scale === 0 ? 0 : Math.round(value / scale) * scale;
    });
    return this.scope(() => super.linear(this.upload(values, x.shape), weight));
  }
}

/** Values as a format holds them, in its usual pieces. */
function requantized(
  values: Float32Array,
  [rows, columns]: readonly [number, number],
  format: WeightFormat,
): Float32Array {
  switch (format) {
    case 'f32':
      return values;
    case 'bf16':
    case 'f16':
      return toF32(format, fromF32(format, values));
    case 'fp8': {
      const { codes, scales } = quantizeBlocks(values, rows, columns);
      return dequantizeBlocks(codes, scales, rows, columns);
    }
    default: {
      const { codes, scales } = quantizeGroups(format, values, rows, columns);
      return dequantizeGroups(format, codes, scales, rows, columns);
    }
  }
}
