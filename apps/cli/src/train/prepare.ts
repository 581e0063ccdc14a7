/** What a run needs before its first step: the tokenizer, the data as tokens, and the config that fits both. */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MarianaError, type ModelConfig, type PresetName, parseConfig, preset } from '@mariana/core';
import { DirectoryFiles } from '@mariana/core/node';
import { Tokenizer } from '@mariana/tokenizer';
import { extendContext, learnTokenizer, PackedData, type TokenStream, tokenizeDocuments } from '@mariana/train';
import { readDocuments } from '@mariana/train/node';
import { exact } from '../format.ts';
import type { Io } from '../io.ts';
import { Progress } from '../progress.ts';
import { readTextFile } from '../text-file.ts';
import { configOfCheckpoint } from './initial-weights.ts';
import type { Settings } from './settings.ts';

/** Tokens that are learned at least unless settings say otherwise: 256 of them are bytes. */
const LEAST_VOCABULARY = 512;

/** A run that can start. */
export interface Prepared {
  readonly config: ModelConfig;
  readonly data: PackedData;
  readonly training: TokenStream;
  readonly validation: { readonly data: PackedData; readonly stream: TokenStream } | null;
  /** Files of the tokenizer, as texts or as values for JSON, that the run's folder does not have yet. */
  readonly files: Readonly<Record<string, unknown>>;
}

/** The architecture as the settings have it, with the vocabulary of its file, before any extension of its context. */
export async function architecture({ config, init, preset: name }: Settings): Promise<ModelConfig> {
  if (config === undefined) return init === undefined ? preset(name as PresetName) : configOfCheckpoint(init);
  if (typeof config !== 'string') return parseConfig(config, { source: 'config' });
  const text = await readTextFile(config);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new MarianaError('CONFIG_INVALID', `${config}: this is not JSON; correct the file`, { cause });
  }
  return parseConfig(json, { source: config });
}

/**
 * Reads everything. Nothing is written. The tokenizer is that of `out`, if it has one already.
 *
 * @throws MarianaError what reading and learning throw; `INVALID_ARGUMENT` if there is too little text.
 */
export async function prepare(settings: Settings, base: ModelConfig, io: Io, quiet: boolean): Promise<Prepared> {
  const { tokenizer, files } = await tokenizerOf(settings, base, io, quiet);
  const { extendContext: positions, yarnFactor: factor } = settings;
  if (settings.init !== undefined && tokenizer.vocabSize > base.vocabSize) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `the tokenizer has ${exact(tokenizer.vocabSize)} tokens and the checkpoint ${exact(base.vocabSize)}; use its own`,
    );
  }
  const extended =
    positions === undefined
      ? base
      : extendContext(base, { maxPositionEmbeddings: positions, ...(factor !== undefined && { factor }) });
  const config: ModelConfig = {
    ...extended,
    vocabSize: settings.init === undefined ? tokenizer.vocabSize : base.vocabSize,
    bosTokenId: tokenizer.bosTokenId ?? null,
    eosTokenId: [...tokenizer.eosTokenIds],
    quantizationConfig: null,
    integerQuantization: null,
  };
  const { validation, sequence, seed } = settings;
  const read = (label: string, paths: string | readonly string[], holdOut: number) => {
    const progress = new Progress(io, { label, amount: () => 'the text', quiet });
    const report = (tokens: number) => progress.update(0, tokens);
    const options = { holdOut, signal: io.interrupts.signal, onProgress: report };
    return tokenizeDocuments(readDocuments(paths, settings), tokenizer, options).finally(() => progress.end());
  };
  const share = typeof validation === 'number' ? validation : 0;
  const { training, heldOut } = await read('reading the data', settings.data, share);
  const apart =
    typeof validation === 'string' ? (await read('reading the validation data', validation, 0)).training : heldOut;
  const packed = (stream: TokenStream, what: string) => {
    if (stream.tokens.length > sequence) return new PackedData(stream.tokens, { sequenceLength: sequence, seed });
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `${what}: ${exact(stream.tokens.length)} tokens do not fill one sequence of ${exact(sequence)} and its last ` +
        'target; use more text, or a shorter --sequence',
      { details: { tokens: stream.tokens.length, sequence } },
    );
  };
  return {
    config,
    files,
    training,
    data: packed(training, 'the data'),
    validation: validation === undefined ? null : { stream: apart, data: packed(apart, 'the validation data') },
  };
}

async function tokenizerOf(
  settings: Settings,
  base: ModelConfig,
  io: Io,
  quiet: boolean,
): Promise<{ tokenizer: Tokenizer; files: Readonly<Record<string, unknown>> }> {
  const { out, init, tokenizer: place = init, extendContext: positions } = settings;
  if (await new DirectoryFiles(out).exists('tokenizer.json')) {
    return { tokenizer: (await tokenizerAt(join(out, 'tokenizer.json'))).tokenizer, files: {} };
  }
  if (place !== undefined) {
    const isFolder = await stat(place).then(
      (found) => found.isDirectory(),
      () => false,
    );
    return tokenizerAt(isFolder ? join(place, 'tokenizer.json') : place, positions);
  }
  const progress = new Progress(io, {
    label: 'learning the tokenizer',
    amount: (tokens) => `${exact(tokens)} tokens`,
    quiet,
  });
  const learned = await learnTokenizer(readDocuments(settings.data, settings), {
    vocabSize: settings.vocab ?? Math.max(LEAST_VOCABULARY, base.vocabSize),
    signal: io.interrupts.signal,
    onProgress: ({ tokens, vocabSize }) => progress.update(tokens, vocabSize),
  }).finally(() => progress.end());
  const tokenizerConfig = { ...learned.tokenizerConfig, model_max_length: base.maxPositionEmbeddings };
  return {
    tokenizer: Tokenizer.fromFiles({ tokenizerJson: learned.tokenizerJson, tokenizerConfig }),
    files: { 'tokenizer_config.json': tokenizerConfig, 'tokenizer.json': learned.tokenizerJson },
  };
}

/**
 * A tokenizer and its files; tokenizer_config.json, beside tokenizer.json, may be missing.
 *
 * @param positions - What the config says of the longest text from now on. Default: what it said.
 */
async function tokenizerAt(path: string, positions?: number) {
  const json = await readTextFile(path);
  const beside = new DirectoryFiles(dirname(path));
  const hasConfig = await beside.exists('tokenizer_config.json');
  const config = hasConfig ? await readTextFile(join(beside.name, 'tokenizer_config.json')) : undefined;
  const tokenizer = Tokenizer.fromFiles({ tokenizerJson: json, tokenizerConfig: config });
  if (config === undefined) return { tokenizer, files: { 'tokenizer.json': json } };
  const said = positions === undefined ? config : { ...JSON.parse(config), model_max_length: positions };
  return { tokenizer, files: { 'tokenizer_config.json': said, 'tokenizer.json': json } };
}
