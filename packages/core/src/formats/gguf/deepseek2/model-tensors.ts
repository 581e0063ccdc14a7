/**
 * The tensors of a model as a `deepseek2` GGUF file has them, made from a checkpoint while they are written: experts
 * stacked, `kv_b_proj` split into its halves with that of the keys transposed, rotary rows in pairs, every matrix in the
 * format asked for. Only a piece of one tensor is ever in memory.
 */

import { expertTemplates, layerTemplates, type TensorTemplate } from '../../../accounting/tensor-templates.ts';
import type { TensorReader } from '../../../checkpoint/tensor-reader.ts';
import { weightRows } from '../../../checkpoint/weight-rows.ts';
import { weightSource } from '../../../checkpoint/weight-source.ts';
import type { ModelConfig } from '../../../config/model-config.ts';
import { isMoeLayer, qkHeadDim } from '../../../config/semantics.ts';
import {
  encodedRows,
  type FloatRows,
  pickRows,
  type RowFormat,
  stackRows,
  storedRows,
  transposeGroups,
} from '../../rows/index.ts';
import type { ByteSource } from '../../source.ts';
import type { GgmlTypeName } from '../ggml-types.ts';
import type { GgufTensorToWrite } from '../writer.ts';
import type { GgufQuant } from './model-metadata.ts';
import { EXPERT_NAMES, KEY_HALF, LAYER_NAMES, VALUE_HALF, WHOLE_NAMES } from './tensor-names.ts';

const TYPE_NAMES: Readonly<Record<GgufQuant, GgmlTypeName>> = { f32: 'F32', f16: 'F16', bf16: 'BF16', q8_0: 'Q8_0' };

/** Values in a block of Q8_0; rows of another length are stored in F16, as llama.cpp's converter does. */
const Q8_0_VALUES = 32;

/**
 * Every tensor of the main model; multi-token-prediction layers are left out.
 *
 * @param weights a checkpoint that `validateCheckpoint` has accepted
 */
export function modelTensors(config: ModelConfig, weights: TensorReader, quant: GgufQuant): GgufTensorToWrite[] {
  return new ModelTensors(config, weights, quant).all();
}

class ModelTensors {
  readonly #config: ModelConfig;
  readonly #weights: TensorReader;
  readonly #quant: GgufQuant;

  constructor(config: ModelConfig, weights: TensorReader, quant: GgufQuant) {
    this.#config = config;
    this.#weights = weights;
    this.#quant = quant;
  }

  all(): GgufTensorToWrite[] {
    const { numHiddenLayers, tieWordEmbeddings, vocabSize, hiddenSize } = this.#config;
    const [embedding, norm, head] = WHOLE_NAMES as [[string, string], [string, string], [string, string]];
    return [
      this.#matrix(embedding[0], embedding[1], [vocabSize, hiddenSize]),
      ...Array.from({ length: numHiddenLayers }, (_, layer) => this.#layer(layer)).flat(),
      this.#exact(norm[0], norm[1], [hiddenSize]),
      ...(tieWordEmbeddings ? [] : [this.#matrix(head[0], head[1], [vocabSize, hiddenSize])]),
    ];
  }

  #layer(layer: number): GgufTensorToWrite[] {
    const tensors = layerTemplates(this.#config, layer).flatMap((template) => this.#plain(layer, template));
    return isMoeLayer(this.#config, layer) ? [...tensors, ...this.#experts(layer)] : tensors;
  }

  /** What one tensor of a layer becomes: one, or the two halves of `kv_b_proj`. */
  #plain(layer: number, { suffix, shape, kind }: TensorTemplate): GgufTensorToWrite[] {
    const name = `model.layers.${layer}.${suffix}`;
    const gguf = `blk.${layer}.${LAYER_NAMES.find(([, huggingFace]) => huggingFace === suffix)![0]}`;
    const size = shape as [number, number];
    switch (kind) {
      case 'norm':
      case 'router_bias':
      case 'router':
        return [this.#exact(gguf, name, shape)];
      case 'kv_b_proj':
        return this.#halves(layer, name, size);
      case 'q_proj':
      case 'q_b_proj':
        return [this.#rotated(gguf, name, size, qkHeadDim(this.#config))];
      case 'kv_a_proj':
        return [this.#rotated(gguf, name, size, size[0])];
      default:
        return [this.#matrix(gguf, name, size)];
    }
  }

  /** A tensor that is never quantised. */
  #exact(gguf: string, name: string, shape: readonly number[]): GgufTensorToWrite {
    const { dtype } = this.#weights.info(name);
    const columns = shape.at(-1)!;
    const rows = () => storedRows(dtype, this.#weights.source(name), shape.length === 1 ? 1 : shape[0]!, columns);
    return { name: gguf, type: 'F32', shape, data: () => encodedRows(rows(), 'f32') };
  }

  #matrix(gguf: string, name: string, shape: readonly [number, number]): GgufTensorToWrite {
    return this.#encoded(gguf, shape, () => {
      const weight = this.#weight(name, shape);
      // What has the format already is copied as it lies.
      return weight.format === this.#format(shape[1]) ? weight.values : weightRows(weight);
    });
  }

  /** A matrix of which the last rows of each group of `height` are rotated, in pairs whatever order they come in. */
  #rotated(gguf: string, name: string, shape: readonly [number, number], height: number): GgufTensorToWrite {
    if (this.#config.ropeInterleave) return this.#matrix(gguf, name, shape);
    const rope = this.#config.qkRopeHeadDim;
    return this.#encoded(gguf, shape, () =>
      pickRows(weightRows(this.#weight(name, shape)), shape[0], (row) => {
        const within = (row % height) - (height - rope);
        if (within < 0) return row;
        // Halves (i, i + rope / 2) become pairs (2i, 2i + 1).
        const half = within % 2 === 0 ? within / 2 : (within - 1) / 2 + rope / 2;
        return row - within + half;
      }),
    );
  }

  #halves(layer: number, name: string, shape: readonly [number, number]): GgufTensorToWrite[] {
    const { numAttentionHeads: heads, qkNopeHeadDim: nope, vHeadDim: v, kvLoraRank: latent } = this.#config;
    const half = (height: number, skip: number): FloatRows =>
      pickRows(weightRows(this.#weight(name, shape)), heads * height, (row) => {
        const head = Math.floor(row / height);
        return head * (nope + v) + skip + (row - head * height);
      });
    return [
      this.#encoded(`blk.${layer}.${KEY_HALF}`, [heads, latent, nope], () => transposeGroups(half(nope, 0), nope)),
      this.#encoded(`blk.${layer}.${VALUE_HALF}`, [heads, v, latent], () => half(v, nope)),
    ];
  }

  #experts(layer: number): GgufTensorToWrite[] {
    const experts = this.#config.nRoutedExperts;
    return expertTemplates(this.#config).map(({ suffix, shape }) => {
      const gguf = `blk.${layer}.${EXPERT_NAMES.find(([, huggingFace]) => huggingFace === suffix)![0]}`;
      const [rows, columns] = shape as [number, number];
      return this.#encoded(gguf, [experts, rows, columns], () => {
        const parts = Array.from({ length: experts }, (_, expert) =>
          weightRows(this.#weight(`model.layers.${layer}.mlp.experts.${expert}.${suffix}`, [rows, columns])),
        );
        return stackRows(gguf, parts);
      });
    });
  }

  /** A matrix in the format asked for, from its rows or from bytes that have that format. */
  #encoded(gguf: string, shape: readonly number[], make: () => FloatRows | ByteSource): GgufTensorToWrite {
    const format = this.#format(shape.at(-1)!);
    const data = () => {
      const made = make();
      return 'byteLength' in made ? made : encodedRows(made, format);
    };
    return { name: gguf, type: TYPE_NAMES[format], shape, data };
  }

  #format(columns: number): GgufQuant & RowFormat {
    return this.#quant === 'q8_0' && columns % Q8_0_VALUES !== 0 ? 'f16' : this.#quant;
  }

  #weight(name: string, shape: readonly [number, number]) {
    const blockSize = this.#config.quantizationConfig?.weightBlockSize;
    return weightSource(this.#weights, name, shape, blockSize ? { blockSize } : {});
  }
}
