/**
 * A `deepseek2` GGUF file as the checkpoint that it was made from: a config, and tensors under Hugging Face's names and
 * in its shapes. Nothing is converted in advance; experts are cut out of their stacks, the halves of `kv_b_proj` are put
 * together, and quantised blocks are decoded while they are read.
 */

import { expectedTensor } from '../../../accounting/expected-tensors.ts';
import { isQuantizable } from '../../../accounting/tensor-templates.ts';
import type { ModelConfig } from '../../../config/model-config.ts';
import { isBlockFormat } from '../../../dtype/block-formats.ts';
import { bytesPerElement, type DType } from '../../../dtype/dtype.ts';
import { MarianaError } from '../../../errors.ts';
import { quote } from '../../quote.ts';
import {
  encodedRows,
  type FloatRows,
  pickRows,
  type RowFormat,
  sliceRows,
  stackRows,
  transposeGroups,
} from '../../rows/index.ts';
import type { ByteSource } from '../../source.ts';
import { SliceSource } from '../../sources/views.ts';
import { type TensorInfo, TensorStore, tensorMissing } from '../../tensor-store.ts';
import type { GgufFile } from '../gguf-file.ts';
import { configFromGguf } from './config-from-metadata.ts';
import { PACKED_GROUP, type PackedFormat, packedCodes, packedScales } from './packed-blocks.ts';
import {
  EXPERT_NAMES,
  FUSED_EXPERTS,
  KEY_HALF,
  LAYER_NAMES,
  splitLayerName,
  VALUE_HALF,
  WHOLE_NAMES,
} from './tensor-names.ts';

/** How a GGUF file is presented. */
export interface GgufCheckpointOptions {
  /**
   * Whether Q8_0 and Q4_0 projections come as grouped integers (I8 or U8 with `weight_scale`), which backends hold
   * packed, or decoded to F32. The values are the same. Default true.
   */
  readonly packed?: boolean;
}

interface Entry {
  readonly info: TensorInfo;
  readonly open: () => ByteSource;
}

/** `GgufCheckpoint` of an open file: see there. */
export function ggufCheckpoint(file: GgufFile, options: GgufCheckpointOptions = {}): GgufCheckpoint {
  return new GgufCheckpoint(file, options);
}

/**
 * The checkpoint in a `deepseek2` GGUF file. F32, F16 and BF16 tensors keep their dtype; Q8_0 and Q4_0 projections (and
 * the head) are grouped integers unless `packed` is false; everything else that is quantised is F32. `kv_b_proj` keeps
 * the dtype of its halves if they have the same dense one, else it is F32. Tensors that the family does not know keep
 * the name that they have in the file, so that `validateCheckpoint` reports them.
 */
export class GgufCheckpoint extends TensorStore {
  readonly name: string;
  readonly file: GgufFile;
  readonly config: ModelConfig;
  readonly #entries = new Map<string, Entry>();
  readonly #packed: boolean;
  #hasPacked = false;

  /** @throws MarianaError as `configFromGguf` does; `TENSOR_MISMATCH` for a stack or a half of another shape. */
  constructor(file: GgufFile, { packed = true }: GgufCheckpointOptions = {}) {
    super();
    this.name = file.name;
    this.file = file;
    this.#packed = packed;
    const config = configFromGguf(file);
    for (const name of file.names()) this.#take(name, config);
    this.config = this.#hasPacked ? configFromGguf(file, quantizationOf(this.#entries)) : config;
  }

  names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  info(name: string): TensorInfo {
    return this.#entry(name).info;
  }

  source(name: string): ByteSource {
    return this.#entry(name).open();
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw tensorMissing(this, name);
    return entry;
  }

  /** Enters what a tensor of the file is in the checkpoint. */
  #take(stored: string, config: ModelConfig): void {
    const place = splitLayerName(stored);
    if (place === undefined) {
      const whole = WHOLE_NAMES.find(([gguf]) => gguf === stored);
      this.#takeMatrix(whole?.[1] ?? stored, stored, config);
      return;
    }
    const { layer, rest } = place;
    const prefix = `model.layers.${layer}.`;
    const same = LAYER_NAMES.find(([gguf]) => gguf === rest);
    const stack = EXPERT_NAMES.find(([gguf]) => gguf === rest);
    if (same !== undefined) this.#takeMatrix(prefix + same[1], stored, config);
    else if (stack !== undefined) this.#takeExperts(`${prefix}mlp.experts.`, [stack[1]], stored, config);
    else if (rest === FUSED_EXPERTS) {
      this.#takeExperts(`${prefix}mlp.experts.`, ['gate_proj.weight', 'up_proj.weight'], stored, config);
    } else if (rest === KEY_HALF) this.#takeHalves(`${prefix}self_attn.kv_b_proj.weight`, layer, config);
    else if (rest !== VALUE_HALF || !this.file.has(`blk.${layer}.${KEY_HALF}`)) {
      this.#takeMatrix(stored, stored, config);
    }
  }

  /** A tensor that is one of the checkpoint as it lies. */
  #takeMatrix(name: string, stored: string, config: ModelConfig): void {
    const { shape } = this.file.entry(stored);
    const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
    this.#enter(name, stored, { shape, firstRow: 0, rows }, config);
  }

  /** Experts stacked in one tensor [experts, rows, columns], of which each may have several matrices one below the other. */
  #takeExperts(prefix: string, parts: readonly string[], stored: string, config: ModelConfig): void {
    const { moeIntermediateSize: width, hiddenSize, nRoutedExperts: experts } = config;
    const matrix = parts[0] === 'down_proj.weight' ? [hiddenSize, width] : [width, hiddenSize];
    const [rows, columns] = matrix as [number, number];
    this.#expect(stored, [experts, parts.length * rows, columns]);
    for (let expert = 0; expert < experts; expert++) {
      for (const [i, part] of parts.entries()) {
        const firstRow = (expert * parts.length + i) * rows;
        this.#enter(`${prefix}${expert}.${part}`, stored, { shape: [rows, columns], firstRow, rows }, config);
      }
    }
  }

  /** Enters rows of a stored tensor under a name, in the form that they are handed on in. */
  #enter(
    name: string,
    stored: string,
    { shape, firstRow, rows }: { shape: readonly number[]; firstRow: number; rows: number },
    config: ModelConfig,
  ): void {
    const { file } = this;
    const { format } = file.entry(stored).type;
    const part = (source: ByteSource, allRows: number): ByteSource => {
      const rowBytes = source.byteLength / allRows;
      return rows === allRows ? source : new SliceSource(source, firstRow * rowBytes, rows * rowBytes);
    };
    const storedRows = file
      .entry(stored)
      .shape.slice(0, -1)
      .reduce((product, size) => product * size, 1);
    const columns = shape.at(-1) ?? 1;
    if ((format === 'q8_0' || format === 'q4_0') && this.#packed && isPackable(config, name)) {
      this.#hasPacked = true;
      this.#enterPacked(name, format, [rows, columns], () => part(file.stored(stored), storedRows));
    } else if (format !== null && !isBlockFormat(format)) {
      this.#set(name, format, shape, () => part(file.stored(stored), storedRows));
    } else {
      // A type that cannot be decoded is refused here.
      const matrix = file.rows(stored);
      this.#set(name, 'f32', shape, () => encodedRows(sliceRows(matrix, firstRow, rows), 'f32'));
    }
  }

  #enterPacked(name: string, format: PackedFormat, [rows, columns]: [number, number], blocks: () => ByteSource): void {
    const scaleName = `${name}_scale`;
    const [dtype, width] = format === 'q8_0' ? (['i8', columns] as const) : (['u8', columns / 2] as const);
    this.#set(name, dtype, [rows, width], () => packedCodes(format, blocks(), name));
    this.#set(scaleName, 'f32', [rows, columns / PACKED_GROUP], () => packedScales(format, blocks(), scaleName));
  }

  /** `kv_b_proj`: for each head its rows for keys (stored transposed) and its rows for values. */
  #takeHalves(name: string, layer: number, config: ModelConfig): void {
    const { numAttentionHeads: heads, kvLoraRank, qkNopeHeadDim: nope, vHeadDim } = config;
    const keyName = `blk.${layer}.${KEY_HALF}`;
    const valueName = `blk.${layer}.${VALUE_HALF}`;
    this.#expect(keyName, [heads, kvLoraRank, nope]);
    this.#expect(valueName, [heads, vHeadDim, kvLoraRank]);
    const formats = [this.file.entry(keyName).type.format, this.file.entry(valueName).type.format];
    const [format] = formats;
    const dense = (format === 'bf16' || format === 'f16') && formats[1] === format;
    const keys = this.file.rows(keyName);
    const values = this.file.rows(valueName);
    const shape = [heads * (nope + vHeadDim), kvLoraRank];
    const rowFormat: RowFormat = dense ? format : 'f32';
    this.#set(name, dense ? format : 'f32', shape, () =>
      encodedRows(mergedHalves(name, transposeGroups(keys, kvLoraRank), values, heads), rowFormat),
    );
  }

  /** Refuses a tensor of another shape than the config gives it, in the file's own name for it. */
  #expect(stored: string, shape: readonly number[]): void {
    const found = this.file.entry(stored).shape;
    if (found.length === shape.length && found.every((size, axis) => size === shape[axis])) return;
    throw new MarianaError(
      'TENSOR_MISMATCH',
      `${this.name}: tensor ${quote(stored)} has shape [${found.join(', ')}], its metadata ask for [${shape.join(', ')}]; ` +
        'the file is damaged or was converted wrongly',
      { details: { file: this.name, tensor: stored, shape: found, expected: shape } },
    );
  }

  #set(name: string, dtype: DType, shape: readonly number[], open: () => ByteSource): void {
    if (this.#entries.has(name)) {
      throw new MarianaError('CHECKPOINT_CORRUPT', `${this.name}: ${quote(name)} is in it twice, in two forms`, {
        details: { file: this.name, tensor: name },
      });
    }
    const byteLength = shape.reduce((product, size) => product * size, bytesPerElement(dtype));
    this.#entries.set(name, { info: { name, dtype, shape, byteLength, file: this.name }, open });
  }
}

/** Rows [nope | v] of each head from the two halves, keys [heads * nope, latent] and values [heads * v, latent]. */
function mergedHalves(name: string, keys: FloatRows, values: FloatRows, heads: number): FloatRows {
  const nope = keys.rows / heads;
  const v = values.rows / heads;
  const halves = stackRows(name, [keys, values]);
  return pickRows(halves, halves.rows, (row) => {
    const head = Math.floor(row / (nope + v));
    const within = row - head * (nope + v);
    return within < nope ? head * nope + within : keys.rows + head * v + within - nope;
  });
}

/** Matrices that products are made with; an embedding is looked up row by row and stays dense. */
function isPackable(config: ModelConfig, name: string): boolean {
  const expected = expectedTensor(config, name);
  return expected !== undefined && (isQuantizable(expected.kind) || expected.kind === 'head');
}

/** What config.json says of such weights. */
function quantizationOf(entries: ReadonlyMap<string, Entry>) {
  const format = [...entries.values()].some(({ info }) => info.dtype === 'i8') ? 'int8' : 'int4';
  return { quantization_config: { quant_method: 'mariana', format, group_size: PACKED_GROUP } };
}
