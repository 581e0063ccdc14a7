/** `mariana init`: a checkpoint of fresh weights, in the files that Hugging Face's tools read and write. */
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import {
  configText,
  configToJson,
  type Fp8Quantization,
  type JsonObject,
  MarianaError,
  type ModelConfig,
  type PresetName,
  preset,
  RandomWeights,
} from '@mariana/core';
import { writeFileAtomic, writeShardedCheckpoint } from '@mariana/core/node';
import { bytes, duration } from '../format.ts';
import { fillFolder } from '../init/staging.ts';
import { tokenizerFiles } from '../init/tokenizer-files.ts';
import { type Io, print, printJson } from '../io.ts';
import { Progress } from '../progress.ts';
import { readTextFile } from '../text-file.ts';

export interface InitFlags {
  readonly preset: string;
  readonly seed: number;
  readonly dtype: 'bf16' | 'fp8';
  readonly out: string;
  /** True for bytes, or the path of a text to learn from. */
  readonly tokenizer?: true | string;
  readonly maxShardSize: number;
  readonly force?: true;
  readonly json?: true;
  readonly quiet?: true;
}

/** As DeepSeek-V3's config.json has it. */
const FP8: Fp8Quantization = {
  quantMethod: 'fp8',
  fmt: 'e4m3',
  activationScheme: 'dynamic',
  weightBlockSize: [128, 128],
  scaleFmt: null,
  modulesToNotConvert: [],
};

export async function init(flags: InitFlags, io: Io): Promise<void> {
  const { out, seed, dtype } = flags;
  const started = performance.now();
  const base = preset(flags.preset as PresetName);
  const quantizationConfig = dtype === 'fp8' ? (base.quantizationConfig ?? FP8) : null;
  let config: ModelConfig = { ...base, quantizationConfig };
  const json: Record<string, unknown> = {};
  if (flags.tokenizer !== undefined) {
    const corpus = flags.tokenizer === true ? undefined : await readTextFile(flags.tokenizer);
    const tokenizer = await tokenizerFiles(config, corpus);
    config = tokenizer.config;
    Object.assign(json, tokenizer.files);
  }
  json['config.json'] = configText(configOf(config));

  const weights = new RandomWeights(config, { seed, dtype });
  const totalBytes = weights.names().reduce((sum, name) => sum + weights.info(name).byteLength, 0);
  let files: readonly string[] = [];
  await fillFolder(out, { force: flags.force === true }, async (stage) => {
    await checkSpace(stage, out, totalBytes);
    files = await writeWeights(weights, totalBytes, stage, flags, io);
    for (const [name, value] of Object.entries(json)) await writeJson(join(stage, name), value);
  });
  const all = [...Object.keys(json), ...files].sort();
  if (flags.json) printJson(io, { out, preset: flags.preset, seed, dtype, totalBytes, files: all });
  else {
    print(io, `${out}: ${bytes(totalBytes)} of weights written in ${duration(performance.now() - started)}`);
    for (const file of all) print(io, `  ${file}`);
  }
}

/** config.json as published files have it: a model without quantisation does not mention it. */
function configOf(config: ModelConfig): JsonObject {
  const { quantization_config, ...rest } = configToJson(config);
  return quantization_config ? { ...rest, quantization_config } : rest;
}

async function writeWeights(
  weights: RandomWeights,
  totalBytes: number,
  stage: string,
  flags: InitFlags,
  io: Io,
): Promise<readonly string[]> {
  const label = `writing ${flags.out}`;
  const progress = new Progress(io, { label, amount: bytes, quiet: flags.quiet === true });
  let done = 0;
  const tensors = weights.names().map((name) => {
    const { dtype, shape, byteLength } = weights.info(name);
    return {
      name,
      dtype,
      shape,
      data() {
        io.interrupts.signal.throwIfAborted();
        progress.update(done, totalBytes);
        done += byteLength;
        return weights.source(name);
      },
    };
  });
  try {
    return (await writeShardedCheckpoint(stage, tensors, { maxShardBytes: flags.maxShardSize })).files;
  } finally {
    progress.end();
  }
}

/** Writes a text, or a value as JSON. */
async function writeJson(path: string, value: unknown): Promise<void> {
  const text = typeof value === 'string' ? value : `${JSON.stringify(value, null, 2)}\n`;
  await writeFileAtomic(path, (sink) => sink.write(new TextEncoder().encode(text)));
}

/** Better said now than after an hour of writing. */
async function checkSpace(stage: string, out: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(stage);
  const free = bavail * bsize;
  if (needed <= free) return;
  throw new MarianaError(
    'FILE_WRITE_FAILED',
    `${out}: the weights take ${bytes(needed)}, but only ${bytes(free)} are free there; choose another disk`,
    { details: { path: out, needed, free } },
  );
}
