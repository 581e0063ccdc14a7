/**
 * The metrics of a run, a JSON object a line for each step. A line is in the file before the state that follows it, so
 * that a run which goes on from that state finds them all; lines of steps that are done again are taken away.
 */
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MarianaError } from '@mariana/core';
import type { Fp8Ranges } from '@mariana/train';
import { writeInto } from './folder.ts';

const METRICS_FILE = 'metrics.jsonl';

/** What is known of a step. */
export interface Metrics {
  readonly step: number;
  readonly loss: number;
  readonly crossEntropy: number;
  readonly balanceLoss: number;
  readonly mtpLoss: readonly number[];
  readonly gradientNorm: number;
  readonly learningRate: number;
  /** Tokens learned from so far. */
  readonly tokens: number;
  readonly tokensPerSecond: number;
  /** Of the whole run, all its parts together. */
  readonly seconds: number;
  /** Of the worst layer. */
  readonly maxViolation: number;
  /** Choices of each expert, by layer. */
  readonly load: Readonly<Record<string, readonly number[]>>;
  /** Mean cross-entropy in nats, and bits for a byte of text, on the validation data. */
  readonly validation?: { readonly crossEntropy: number; readonly bitsPerByte: number };
  readonly fp8?: Fp8Ranges;
}

export class MetricsFile {
  /** All steps so far. */
  readonly lines: Metrics[];
  readonly #handle: FileHandle;
  readonly #path: string;

  private constructor(path: string, lines: Metrics[], handle: FileHandle) {
    this.#path = path;
    this.lines = lines;
    this.#handle = handle;
  }

  /**
   * Opens the metrics of the run in a folder, without those of steps after `step`.
   *
   * @throws MarianaError `DATA_INVALID` for a line that is none of ours; `FILE_WRITE_FAILED`, `FILE_UNREADABLE`.
   */
  static async open(folder: string, step: number): Promise<MetricsFile> {
    const path = join(folder, METRICS_FILE);
    const before = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return '';
      throw new MarianaError('FILE_UNREADABLE', `${path}: cannot be read (${cause.code}); check its permissions`, {
        cause,
      });
    });
    const lines = parse(before, path).filter((line) => line.step <= step);
    const after = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    if (after !== before) await writeInto(folder, METRICS_FILE, after);
    return new MetricsFile(path, lines, await attempt(path, () => open(path, 'a')));
  }

  async add(line: Metrics): Promise<void> {
    this.lines.push(line);
    await attempt(this.#path, () => this.#handle.appendFile(`${JSON.stringify(line)}\n`));
  }

  /** Waits until all lines are on the disk. */
  async sync(): Promise<void> {
    await attempt(this.#path, () => this.#handle.sync());
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** What follows the last line break was cut off by whatever ended the program. */
function parse(text: string, path: string): Metrics[] {
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1)
    .map((line, i) => {
      try {
        const value = JSON.parse(line);
        if (Number.isSafeInteger(value?.step)) return value;
      } catch {
        // told below, with the number of the line
      }
      throw new MarianaError('DATA_INVALID', `${path}, line ${i + 1}: no metrics of a step; remove the line`, {
        details: { source: path, line: i + 1 },
      });
    });
}

async function attempt<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MarianaError('FILE_WRITE_FAILED', `${path}: cannot be written (${reason}); check disk and permissions`, {
      cause,
    });
  }
}
