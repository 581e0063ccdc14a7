/**
 * Watches a session and keeps what it saw until it is asked for. Values are read from the device without waiting for
 * them, so that watching does not hold up the network.
 */
import type { Routing, Tensor } from '@mariana/core';
import type { SessionObserver } from '@mariana/runtime';
import { AttentionRows } from './attention-rows.ts';
import type { Observed, TokenRouting } from './model-api.ts';

interface SeenLayer {
  readonly experts: Int32Array;
  readonly weights: Float32Array;
  readonly scores: Float32Array;
}

export class Observation {
  /** Given to sessions; sees nothing while `layer` is null. */
  readonly observer: SessionObserver;
  readonly #moeLayers: readonly number[];
  readonly #heads: number;
  #layer: number | null = null;
  #reads: Promise<void>[] = [];
  /** By position, then by MoE layer. */
  readonly #routing = new Map<number, SeenLayer[]>();
  readonly #attention = new AttentionRows();

  constructor(moeLayers: readonly number[], heads: number) {
    this.#moeLayers = moeLayers;
    this.#heads = heads;
    const self = this;
    this.observer = {
      get onRouting() {
        return self.#layer === null ? undefined : self.#seeRouting;
      },
      get onAttention() {
        return self.#layer === null ? undefined : self.#seeAttention;
      },
      get attentionLayers() {
        return self.#layer === null ? undefined : [self.#layer];
      },
    };
  }

  /** The layer whose attention is watched; null while nothing is. */
  get layer(): number | null {
    return this.#layer;
  }

  set layer(layer: number | null) {
    this.#layer = layer;
  }

  /**
   * What was seen since it was last asked; of attention, what `AttentionRows` keeps.
   *
   * @param end - Positions from here on are left out: what was seen there were drafts that did not come true.
   */
  async take(end = Number.POSITIVE_INFINITY): Promise<Observed> {
    const reads = this.#reads;
    this.#reads = [];
    await Promise.all(reads);
    const routing: TokenRouting[] = [];
    for (const [position, layers] of this.#routing) {
      if (position >= end) continue;
      // A token whose layers were not all seen was cut off by a stop; it will be seen again.
      if (this.#moeLayers.every((_, index) => layers[index] !== undefined)) routing.push(packRouting(position, layers));
    }
    const attention = [...this.#attention.values()].filter(({ position }) => position < end);
    this.#routing.clear();
    this.#attention.clear();
    return { routing, attention };
  }

  readonly #seeRouting = (layer: number, { indices, weights, scores }: Routing, start: number): void => {
    const index = this.#moeLayers.indexOf(layer);
    const [tokens, k] = indices.shape as readonly [number, number];
    const experts = scores.shape[1]!;
    const read = async () => {
      const [chosen, shares, all] = await Promise.all([indices.read(), weights.floats(), scores.floats()]);
      for (let i = 0; i < tokens; i++) {
        const layers = this.#routing.get(start + i) ?? [];
        this.#routing.set(start + i, layers);
        layers[index] = {
          experts: (chosen as Int32Array).slice(i * k, (i + 1) * k),
          weights: shares.slice(i * k, (i + 1) * k),
          scores: all.slice(i * experts, (i + 1) * experts),
        };
      }
    };
    this.#reads.push(read());
  };

  readonly #seeAttention = (layer: number, weights: Tensor, start: number): void => {
    const heads = this.#heads;
    const [, , queries, keys] = weights.shape as readonly [number, number, number, number];
    const read = async () => {
      const values = await weights.floats();
      for (let query = 0; query < queries; query++) {
        const position = start + query;
        const rows = new Float32Array(heads * (position + 1));
        for (let head = 0; head < heads; head++) {
          const at = (head * queries + query) * keys;
          rows.set(values.subarray(at, at + position + 1), head * (position + 1));
        }
        this.#attention.add({ layer, position, weights: rows });
      }
    };
    this.#reads.push(read());
  };
}

function packRouting(position: number, layers: readonly SeenLayer[]): TokenRouting {
  const k = layers[0]?.experts.length ?? 0;
  const experts = new Uint16Array(layers.length * k);
  const weights = new Float32Array(layers.length * k);
  const entropy = new Float32Array(layers.length);
  for (const [index, layer] of layers.entries()) {
    experts.set(layer.experts, index * k);
    weights.set(layer.weights, index * k);
    entropy[index] = entropyOf(layer.scores);
  }
  return { position, experts, weights, entropy };
}

/** Entropy in bits of scores, made to sum to one. */
export function entropyOf(scores: Float32Array): number {
  let sum = 0;
  for (const score of scores) sum += score;
  let bits = 0;
  for (const score of scores) {
    const share = score / sum;
    if (share > 0) bits -= share * Math.log2(share);
  }
  return bits;
}
