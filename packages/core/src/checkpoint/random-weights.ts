/**
 * Fresh weights for a config, as a checkpoint that is made up while it is read: what `mariana init` writes, what
 * training starts from, and what runs when a preset is asked for by name. Every tensor depends on the seed and its own
 * name only, so the order of reading does not matter, and a copy (the embedding that MTP shares) equals its original.
 */
import { type ExpectedTensor, expectedTensors } from '../accounting/index.ts';
import type { ModelConfig } from '../config/index.ts';
import { bytesPerElement, type DType, fromF32, quantizeBlocks, viewAsBytes } from '../dtype/index.ts';
import { MarianaError } from '../errors.ts';
import { type ByteSource, checkRange } from '../formats/source.ts';
import { type TensorInfo, TensorStore, tensorMissing } from '../formats/tensor-store.ts';

export interface RandomWeightsOptions {
  /** Equal seeds give equal weights. Default 0. */
  readonly seed?: number;
  /** Format of the projections: `fp8` as DeepSeek ships it (E4M3 with `weight_scale_inv`), or `bf16`. Default `bf16`. */
  readonly dtype?: 'bf16' | 'fp8';
}

/** Matrices are normal with standard deviation `initializer_range`, norms are 1, router biases 0. */
export class RandomWeights extends TensorStore {
  readonly name: string;
  readonly #config: ModelConfig;
  readonly #seed: number;
  readonly #tensors = new Map<string, { info: TensorInfo; of: ExpectedTensor }>();

  constructor(config: ModelConfig, { seed = 0, dtype = 'bf16' }: RandomWeightsOptions = {}) {
    super();
    if (!Number.isInteger(seed)) {
      throw new MarianaError('INVALID_ARGUMENT', `the seed of random weights is ${seed}; it must be a whole number`);
    }
    this.name = `random weights (seed ${seed})`;
    this.#config = config;
    this.#seed = seed;
    for (const of of expectedTensors(config)) {
      const isFp8 = dtype === 'fp8' && of.scale !== null;
      this.#add(of.name, of.kind === 'router_bias' ? 'f32' : isFp8 ? 'e4m3' : 'bf16', of.shape, of);
      if (isFp8 && of.scale !== null) this.#add(of.scale.name, 'f32', of.scale.shape, of);
    }
  }

  names(): readonly string[] {
    return [...this.#tensors.keys()];
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  info(name: string): TensorInfo {
    return this.#entry(name).info;
  }

  source(name: string): ByteSource {
    const { info, of } = this.#entry(name);
    return new GeneratedSource(name, info.byteLength, () => this.#generate(info, of));
  }

  async close(): Promise<void> {
    // Nothing is held.
  }

  #add(name: string, dtype: DType, shape: readonly number[], of: ExpectedTensor): void {
    const byteLength = bytesPerElement(dtype) * shape.reduce((size, axis) => size * axis, 1);
    this.#tensors.set(name, { info: { name, dtype, shape, byteLength, file: this.name }, of });
  }

  #entry(name: string) {
    const entry = this.#tensors.get(name);
    if (entry === undefined) throw tensorMissing(this, name);
    return entry;
  }

  #generate(info: TensorInfo, of: ExpectedTensor): Uint8Array {
    const values = this.#values(of);
    if (info.dtype === 'f32' && info.name === of.name) return viewAsBytes(values);
    if (of.scale === null || (info.dtype !== 'e4m3' && info.name !== of.scale.name)) {
      return viewAsBytes(fromF32('bf16', values));
    }
    const [rows, columns] = of.shape as readonly [number, number];
    const blockSize = this.#config.quantizationConfig?.weightBlockSize ?? [128, 128];
    const { codes, scales } = quantizeBlocks(values, rows, columns, { blockSize });
    return info.dtype === 'e4m3' ? codes : viewAsBytes(scales);
  }

  #values(of: ExpectedTensor): Float32Array {
    const values = new Float32Array(of.shape.reduce((size, axis) => size * axis, 1));
    if (of.kind === 'norm') return values.fill(1);
    if (of.kind === 'router_bias') return values;
    return fillNormal(values, `${this.#seed}:${of.sharedWith ?? of.name}`, this.#config.initializerRange);
  }
}

/** Normal numbers, by the quantile function at 16 random bits: fast enough for a billion of them. */
function fillNormal(values: Float32Array, key: string, deviation: number): Float32Array {
  const quantiles = normalQuantiles();
  let state = hash(key);
  for (let i = 0; i < values.length; i++) {
    // xorshift32 (G. Marsaglia, "Xorshift RNGs", 2003).
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[i] = quantiles[state >>> 16]! * deviation;
  }
  return values;
}

let quantileTable: Float32Array | undefined;

/** Standard normal quantiles at (i + 0.5) / 65536, by inverting the distribution function. */
function normalQuantiles(): Float32Array {
  if (quantileTable !== undefined) return quantileTable;
  const size = 65536;
  const table = new Float32Array(size);
  // The density integrated in small steps gives the distribution function; it is inverted by walking both together.
  const step = 1 / 4096;
  let x = 0;
  let below = 0.5;
  for (let i = size / 2; i < size; i++) {
    const target = (i + 0.5) / size;
    while (true) {
      const mass = normalDensity(x + step / 2) * step;
      if (below + mass < target) {
        below += mass;
        x += step;
        continue;
      }
      table[i] = x + ((target - below) / mass) * step;
      table[size - 1 - i] = -table[i]!;
      break;
    }
  }
  quantileTable = table;
  return table;
}

function normalDensity(x: number): number {
  return Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
}

/** FNV-1a of a string, never zero (xorshift would stay there). */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h | 0 || 1;
}

/** Bytes that are made when they are first read, and kept until the source is dropped. */
class GeneratedSource implements ByteSource {
  readonly name: string;
  readonly byteLength: number;
  readonly #generate: () => Uint8Array;
  #bytes: Uint8Array | undefined;

  constructor(name: string, byteLength: number, generate: () => Uint8Array) {
    this.name = name;
    this.byteLength = byteLength;
    this.#generate = generate;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    checkRange(this, offset, target.length);
    this.#bytes ??= this.#generate();
    target.set(this.#bytes.subarray(offset, offset + target.length));
  }

  async close(): Promise<void> {
    this.#bytes = undefined;
  }
}
