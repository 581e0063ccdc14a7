/**
 * The two halves of `kv_b_proj` as the absorbed form of attention needs them. FP8 blocks and integer groups straddle
 * heads, and the key half is used transposed, so the matrix is decoded, cut and laid out anew, once, when the first
 * query takes the absorbed form (TRAPS.md sections 2 and 6).
 */
import {
  type Backend,
  DenseWeight,
  decodeWeight,
  MarianaError,
  MemorySource,
  type ModelConfig,
  type Tensor,
  type Weight,
  type WeightSource,
} from '@mariana/core';
import type { Linear } from './linear.ts';
import { loadParts } from './load-parts.ts';

export class AbsorbedProjections implements Disposable {
  readonly #config: ModelConfig;
  readonly #kvUp: Linear;
  readonly #source: WeightSource;
  #made: { key: Weight; value: Weight; of: Tensor | null } | undefined;
  #making: Promise<void> | undefined;

  /**
   * @param kvUp - `kv_b_proj` as the naive form uses it.
   * @param source - The same matrix in the checkpoint: read again where `kvUp` is packed, so that cutting it does not
   *   quantise twice.
   */
  constructor(config: ModelConfig, kvUp: Linear, source: WeightSource) {
    this.#config = config;
    this.#kvUp = kvUp;
    this.#source = source;
  }

  /** [heads * kv_lora_rank, qk_nope_head_dim]: folds a query into the latent space, head by head. */
  get key(): Weight {
    return this.#prepared().key;
  }

  /** [heads * v_head_dim, kv_lora_rank]: takes an output from the latent space, head by head. */
  get value(): Weight {
    return this.#prepared().value;
  }

  /** Lays the matrices out, unless they are there and still those of `kv_b_proj`. */
  async prepare(): Promise<void> {
    if (this.#made !== undefined && this.#made.of === this.#current()) return;
    this.#making ??= this.#make().finally(() => {
      this.#making = undefined;
    });
    await this.#making;
  }

  dispose(): void {
    this.#made?.key.dispose();
    this.#made?.value.dispose();
    this.#made = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The tensor behind a dense weight, which training replaces; null for packed ones, which never change. */
  #current(): Tensor | null {
    const { weight } = this.#kvUp;
    return weight instanceof DenseWeight ? weight.tensor : null;
  }

  #prepared() {
    if (this.#made !== undefined) return this.#made;
    throw new MarianaError('INVALID_ARGUMENT', 'AbsorbedProjections: call prepare() first');
  }

  async #make(): Promise<void> {
    const of = this.#current();
    const { key, value } = cutHeads(await this.#read(), this.#config);
    const { backend, name } = this.#kvUp;
    const loaded = await loadParts(async (keep) => ({
      key: await keep(load(backend, `${name} (keys)`, key.data, key.shape)),
      value: await keep(load(backend, `${name} (values)`, value.data, value.shape)),
    }));
    this.dispose();
    this.#made = { ...loaded, of };
  }

  async #read(): Promise<Float32Array> {
    const { backend, weight } = this.#kvUp;
    if (!(weight instanceof DenseWeight)) return decodeWeight(this.#source);
    using values = backend.dequantize(weight);
    return (await backend.read(values)) as Float32Array;
  }
}

/** Rows of each head, [nope | v] x latent, as keys (transposed) and values. */
function cutHeads(matrix: Float32Array, config: ModelConfig) {
  const { numAttentionHeads: heads, kvLoraRank: latent, qkNopeHeadDim: nope, vHeadDim: v } = config;
  const key = new Float32Array(heads * latent * nope);
  const value = new Float32Array(heads * v * latent);
  for (let head = 0; head < heads; head++) {
    const rows = matrix.subarray(head * (nope + v) * latent, (head + 1) * (nope + v) * latent);
    value.set(rows.subarray(nope * latent), head * v * latent);
    for (let row = 0; row < nope; row++) {
      for (let i = 0; i < latent; i++) key[(head * latent + i) * nope + row] = rows[row * latent + i]!;
    }
  }
  return {
    key: { data: key, shape: [heads * latent, nope] as const },
    value: { data: value, shape: [heads * v, latent] as const },
  };
}

function load(backend: Backend, name: string, data: Float32Array, shape: readonly [number, number]): Promise<Weight> {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return backend.loadWeight({ name, format: 'f32', shape, values: new MemorySource(bytes, name) });
}
