/** How fast a download is: told at most ten times a second, over the last seconds. */
import type { LoadEvent } from './model-api.ts';
import type { Download } from './model-store.ts';

const TELL_MS = 100;
const WINDOW_MS = 3000;

export class DownloadMeter {
  readonly #emit: (event: LoadEvent) => void;
  readonly #now: () => number;
  #file = '';
  #told = Number.NEGATIVE_INFINITY;
  /** Moments of this file's download, with what was there then. */
  #marks: { readonly at: number; readonly loaded: number }[] = [];

  constructor(emit: (event: LoadEvent) => void, now: () => number = () => performance.now()) {
    this.#emit = emit;
    this.#now = now;
  }

  see({ file, loaded, total, kept }: Download): void {
    const at = this.#now();
    if (file !== this.#file) {
      this.#file = file;
      this.#marks = [];
      this.#told = Number.NEGATIVE_INFINITY;
    }
    this.#marks.push({ at, loaded });
    while (this.#marks.length > 2 && at - this.#marks[0]!.at > WINDOW_MS) this.#marks.shift();
    if (at - this.#told < TELL_MS && loaded < total) return;
    this.#told = at;
    const first = this.#marks[0]!;
    const seconds = (at - first.at) / 1000;
    const bytesPerSecond = seconds > 0 ? (loaded - first.loaded) / seconds : null;
    this.#emit({ kind: 'download', file, loaded, total, kept, bytesPerSecond });
  }
}
