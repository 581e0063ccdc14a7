/** The fixtures: folders of expected values from the original implementations, each with a README that explains them. */
import { readdir, readFile } from 'node:fs/promises';
import { cpu } from '@mariana/backend-cpu';
import { reference } from '@mariana/backend-reference';
import {
  Checkpoint,
  type CheckpointFiles,
  type JsonObject,
  MemoryFiles,
  readJson,
  SafetensorsFile,
} from '@mariana/core';
import { expect } from 'vitest';

/** One opened fixture folder. */
export class Golden {
  readonly #files: CheckpointFiles;
  readonly #stores = new Map<string, SafetensorsFile>();

  private constructor(files: CheckpointFiles) {
    this.#files = files;
  }

  /** Reads a whole folder, so that no file stays open. */
  static async open(folder: string): Promise<Golden> {
    const place = new URL(`../fixtures/${folder}/`, import.meta.url);
    const names = await readdir(place);
    const files = await Promise.all(names.map(async (name) => [name, await readFile(new URL(name, place))] as const));
    return new Golden(new MemoryFiles(new Map(files), folder));
  }

  /** config.json as it is; its form differs between folders. */
  async config<T = JsonObject>(): Promise<T> {
    return (await readJson(this.#files, 'config.json')) as T;
  }

  weights(): Promise<Checkpoint> {
    return Checkpoint.open(this.#files);
  }

  async #store(file: string): Promise<SafetensorsFile> {
    const store = this.#stores.get(file) ?? (await SafetensorsFile.open(await this.#files.open(file)));
    this.#stores.set(file, store);
    return store;
  }

  async names(file = 'expected.safetensors'): Promise<readonly string[]> {
    return (await this.#store(file)).names();
  }

  async shape(name: string, file = 'expected.safetensors'): Promise<readonly number[]> {
    return (await this.#store(file)).info(name).shape;
  }

  async floats(name: string, file = 'expected.safetensors'): Promise<Float32Array> {
    return (await this.#store(file)).readF32(name);
  }

  async integers(name: string): Promise<Int32Array> {
    const store = await this.#store('expected.safetensors');
    const bytes = await store.read(name);
    return store.info(name).dtype === 'i32' ? new Int32Array(bytes.buffer) : Int32Array.from(bytes);
  }
}

/** |difference| <= tolerance for every element. */
export function expectWithin(name: string, actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number) {
  expect(actual.length, `${name}: number of elements`).toBe(expected.length);
  let worst = 0;
  let at = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    if (!(difference <= worst)) [worst, at] = [difference, i];
  }
  expect(worst, `${name}: element ${at} is ${actual[at]}, expected ${expected[at]}`).toBeLessThanOrEqual(tolerance);
}

/** |difference| <= share * (largest magnitude expected), plus `absolute`. */
export function expectRelative(
  name: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  share: number,
  absolute = 0,
) {
  let max = 0;
  for (let i = 0; i < expected.length; i++) max = Math.max(max, Math.abs(expected[i]!));
  expectWithin(name, actual, expected, absolute + share * max);
}

/** Backends that the goldens of whole models are checked on. */
export const GOLDEN_BACKENDS = [
  ['reference', async () => reference()],
  ['cpu', () => cpu({ threads: 2 })],
] as const;
