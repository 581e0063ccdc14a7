/**
 * The logits after the last token of a timeline. On a backend that computes on a device they stay there until somebody
 * wants all of them: a sampler mostly needs a few, which the device finds for itself.
 */
import { MOST_CANDIDATES, type Tensor, type TokenCandidates } from '@mariana/core';

export class NextLogits implements Disposable {
  /** F32 [vocab_size] on a device, until the row was read. */
  #tensor: Tensor | null = null;
  #row: Float32Array | null = null;

  /** @param logits - The row, or a tensor [vocab_size] of it, which this takes over. */
  constructor(logits: Float32Array | Tensor) {
    if (logits instanceof Float32Array) this.#row = logits;
    else this.#tensor = logits;
  }

  /** Keeps the last row of a step's logits where it is cheapest: on a device there, else here. */
  static async of(logits: Tensor): Promise<NextLogits> {
    const { backend } = logits;
    const isOnDevice = backend.capabilities.threads === 0 && logits.size > 0;
    if (!isOnDevice) return new NextLogits(await logits.floats());
    return new NextLogits(backend.keep(backend.reshape(logits, [logits.size])));
  }

  /** Whether looking at them waits for a device. */
  get isOnDevice(): boolean {
    return this.#row === null;
  }

  /** All logits, [vocab_size]; not to be changed. */
  async row(): Promise<Float32Array> {
    if (this.#row !== null) return this.#row;
    const row = await this.#tensor!.floats();
    this.#row = row;
    this.dispose();
    return row;
  }

  /** The `count` best, found on the device; null where the row is here, or so many are more work than the row. */
  async candidates(count: number, temperature: number): Promise<TokenCandidates | null> {
    const tensor = this.#tensor;
    if (tensor === null || count > MOST_CANDIDATES || 2 * count >= tensor.size) return null;
    return tensor.backend.candidates(tensor, count, temperature);
  }

  /** The same for another timeline, which frees it by itself. */
  fork(): NextLogits {
    if (this.#row !== null) return new NextLogits(this.#row);
    const tensor = this.#tensor!;
    return new NextLogits(tensor.backend.keep(tensor.backend.reshape(tensor, tensor.shape)));
  }

  dispose(): void {
    this.#tensor?.dispose();
    this.#tensor = null;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
