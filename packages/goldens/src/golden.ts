/** One folder of expected values, opened: the model's config and weights, and typed access to what it should give. */
import {
  type Backend,
  Checkpoint,
  type CheckpointFiles,
  type ModelConfig,
  parseConfig,
  readJson,
  SafetensorsFile,
} from '@mariana/core';
import { Transformer } from '@mariana/layers';

/** Opens the files of a golden folder by its name. */
export type OpenFixture = (folder: string) => Promise<CheckpointFiles>;

export class Golden {
  readonly folder: string;
  readonly config: ModelConfig;
  readonly weights: Checkpoint;
  readonly #expected: SafetensorsFile;

  private constructor(folder: string, config: ModelConfig, weights: Checkpoint, expected: SafetensorsFile) {
    this.folder = folder;
    this.config = config;
    this.weights = weights;
    this.#expected = expected;
  }

  static async open(folder: string, open: OpenFixture): Promise<Golden> {
    const files = await open(folder);
    const config = parseConfig(await readJson(files, 'config.json'), { source: `${folder}/config.json` });
    const expected = await SafetensorsFile.open(await files.open('expected.safetensors'));
    return new Golden(folder, config, await Checkpoint.open(files), expected);
  }

  has(name: string): boolean {
    return this.#expected.has(name);
  }

  shape(name: string): readonly number[] {
    return this.#expected.info(name).shape;
  }

  /** Expected values as F32. */
  floats(name: string): Promise<Float32Array> {
    return this.#expected.readF32(name);
  }

  /** Expected token or expert ids, or FP8 codes. */
  async integers(name: string): Promise<Int32Array> {
    return Int32Array.from(await this.#expected.readF32(name));
  }

  /** The prompts that the folder has values for: `p0`, and mostly `p1`. */
  get prompts(): string[] {
    return ['p0', 'p1'].filter((prompt) => this.has(`${prompt}.input_ids`));
  }

  load(backend: Backend): Promise<Transformer> {
    return Transformer.load(this.config, this.weights, { backend, mtp: true });
  }

  async close(): Promise<void> {
    await this.weights.close();
    await this.#expected.close();
  }
}
