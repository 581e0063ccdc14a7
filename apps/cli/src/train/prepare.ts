/** What a run needs before its first step: the tokenizer, the data as tokens, and the config that fits both. */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MarianaError, type ModelConfig, type PresetName, parseConfig, preset } from '@mariana/core';
import { DirectoryFiles } from '@mariana/core/node';
import { Tokenizer } from '@mariana/tokenizer';
import { learnTokenizer, PackedData, type TokenStream, tokenizeDocuments } from '@mariana/train';
import { readDocuments } from '@mariana/train/node';
import { exact } from '../format.ts';
import type { Io } from '../io.ts';
import { Progress } from '../progress.ts';
import { readTextFile } from '../text-file.ts';
import { writeInto } from './folder.ts';
import type { Settings } from './settings.ts';

/** A run that can start. */
export interface Prepared {
  readonly config: ModelConfig;
  readonly data: PackedData;
  readonly training: TokenStream;
  readonly validation: { readonly data: PackedData; readonly stream: TokenStream } | null;
}

/** The architecture as the settings have it, with the vocabulary of its file. */
export async function architecture({ config, preset: name }: Settings): Promise<ModelConfig> {
  if (config === undefined) return preset(name as PresetName);
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
 * Reads everything. The tokenizer is that of `out`, if it has one already; else it is put there.
 *
 * @throws MarianaError what reading and learning throw; `INVALID_ARGUMENT` if there is too little text.
 */
export async function prepare(settings: Settings, base: ModelConfig, io: Io, quiet: boolean): Promise<Prepared> {
  const tokenizer = await tokenizerOf(settings, base, io, quiet);
  const config: ModelConfig = {
    ...base,
    vocabSize: tokenizer.vocabSize,
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
    training,
    data: packed(training, 'the data'),
    validation: validation === undefined ? null : { stream: apart, data: packed(apart, 'the validation data') },
  };
}

async function tokenizerOf(settings: Settings, base: ModelConfig, io: Io, quiet: boolean): Promise<Tokenizer> {
  const { out, tokenizer: place } = settings;
  // Written last, so what is there is complete.
  const own = new DirectoryFiles(out);
  if (await own.exists('tokenizer.json')) return tokenizerAt(out, 'tokenizer.json').then(({ tokenizer }) => tokenizer);
  if (place !== undefined) {
    const isFolder = await stat(place).then(
      (found) => found.isDirectory(),
      () => false,
    );
    const [folder, name] = isFolder ? [place, 'tokenizer.json'] : [dirname(place), place.slice(dirname(place).length)];
    const { tokenizer, json, config } = await tokenizerAt(folder, name.replace(/^[/\\]/, ''));
    if (config !== undefined) await writeInto(out, 'tokenizer_config.json', config);
    await writeInto(out, 'tokenizer.json', json);
    return tokenizer;
  }
  const progress = new Progress(io, {
    label: 'learning the tokenizer',
    amount: (tokens) => `${exact(tokens)} tokens`,
    quiet,
  });
  const learned = await learnTokenizer(readDocuments(settings.data, settings), {
    vocabSize: settings.vocab ?? base.vocabSize,
    signal: io.interrupts.signal,
    onProgress: ({ tokens, vocabSize }) => progress.update(tokens, vocabSize),
  }).finally(() => progress.end());
  const tokenizerConfig = { ...learned.tokenizerConfig, model_max_length: base.maxPositionEmbeddings };
  const tokenizer = Tokenizer.fromFiles({ tokenizerJson: learned.tokenizerJson, tokenizerConfig });
  await writeInto(out, 'tokenizer_config.json', tokenizerConfig);
  await writeInto(out, 'tokenizer.json', learned.tokenizerJson);
  return tokenizer;
}

/** A tokenizer and its files; tokenizer_config.json may be missing. */
async function tokenizerAt(folder: string, name: string) {
  const json = await readTextFile(join(folder, name));
  const hasConfig = await new DirectoryFiles(folder).exists('tokenizer_config.json');
  const config = hasConfig ? await readTextFile(join(folder, 'tokenizer_config.json')) : undefined;
  return { json, config, tokenizer: Tokenizer.fromFiles({ tokenizerJson: json, tokenizerConfig: config }) };
}
