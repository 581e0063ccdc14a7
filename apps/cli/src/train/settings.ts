/**
 * What a training run is told: by a config file, by options, or by the run that it goes on with. All three have the same
 * keys, are checked by the same rules, and the options win.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { MarianaError } from '@mariana/core';
import { z } from 'zod';
import { readTextFile } from '../text-file.ts';

/** Where a run keeps its settings, in its folder. */
export const SETTINGS_FILE = 'train.json';

const path = z.string().min(1);
const count = z.int().min(1);
const factor = z.number().min(0);
const SHARE = 'must be a path, or a share above 0 and up to 0.5';

const schema = z
  .strictObject({
    /** Text files, JSONL files or folders of them. */
    data: z.union([path, z.array(path).min(1)], 'must be a path, or a list of paths'),
    /** Key of the text in JSONL. */
    field: z.string().min(1),
    /** Files to evaluate on, or the share of the documents to hold out for that. */
    validation: z.union([path, z.number().gt(0, SHARE).max(0.5, SHARE)], SHARE),
    preset: z.string().min(1),
    /** A config.json: its path, or what is in it. */
    config: z.union([path, z.record(z.string(), z.unknown())], 'must be a path, or an object like config.json'),
    /** Folder of a checkpoint to begin with: its weights and tokenizer, and its architecture unless `config` is given. */
    init: path,
    /** Positions of a phase of context extension, by YaRN. */
    extendContext: z.int().min(2),
    yarnFactor: z.number().gt(1),
    /** tokenizer.json, or a folder with one; without it a tokenizer is learned. */
    tokenizer: path,
    /** Tokens to learn. */
    vocab: z.int().min(258),
    steps: count,
    batch: count,
    accumulate: count,
    sequence: count,
    lr: z.number().gt(0),
    minLr: factor,
    warmup: z.int().min(0),
    schedule: z.enum(['cosine', 'constant', 'wsd']),
    /** Last steps, in which the learning rate of `wsd` decays. */
    decay: z.int().min(0),
    decayType: z.enum(['linear', '1-sqrt']),
    optimizer: z.enum(['adamw', 'muon']),
    precision: z.enum(['f32', 'bf16', 'fp8']),
    balance: z.enum(['bias', 'aux', 'none']),
    /** Step of the biases. */
    biasRate: factor,
    /** Factor of the balance loss: sequence-wise with `bias`, classic with `aux`. */
    balanceAlpha: factor,
    mtpWeight: factor,
    /** First step with the multi-token-prediction loss. */
    mtpFrom: count,
    weightDecay: factor,
    maxNorm: z.number().gt(0),
    moments: z.enum(['f32', 'bf16']),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1),
    backend: z.string().min(1),
    threads: z.int().min(1).max(1024),
    out: path,
    checkpointEvery: count,
    evalEvery: count,
    evalSequences: count,
    dtype: z.enum(['bf16', 'fp8']),
  })
  .partial();

/** Settings as given, some of them. */
export type GivenSettings = { readonly [K in keyof z.infer<typeof schema>]?: NonNullable<z.infer<typeof schema>[K]> };

/** What has a default that depends on nothing. */
const DEFAULTS = {
  field: 'text',
  batch: 8,
  accumulate: 1,
  sequence: 128,
  lr: 1e-3,
  schedule: 'cosine',
  optimizer: 'adamw',
  precision: 'f32',
  balance: 'bias',
  mtpWeight: 0.3,
  mtpFrom: 1,
  weightDecay: 0.1,
  maxNorm: 1,
  moments: 'f32',
  seed: 0,
  checkpointEvery: 100,
  evalSequences: 64,
  dtype: 'bf16',
} as const satisfies GivenSettings;

/** Settings of a run, complete. */
export type Settings = GivenSettings &
  Required<Pick<GivenSettings, keyof typeof DEFAULTS | 'data' | 'steps' | 'out' | 'minLr' | 'warmup'>>;

/** Keys of settings, which are the names of options in camel case. */
export const settingNames = Object.keys(schema.shape) as (keyof GivenSettings)[];

/** Settings from a config file. Paths in it start at its folder. @throws MarianaError `CONFIG_INVALID`, what reading throws */
export async function readSettingsFile(file: string): Promise<GivenSettings> {
  let json: unknown;
  const text = await readTextFile(file);
  try {
    json = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MarianaError('CONFIG_INVALID', `${file}: this is not JSON (${reason}); correct the file`, { cause });
  }
  return withPaths(check(json, file), dirname(file));
}

/** The settings of the run in a folder, or undefined if there is none. @throws MarianaError as `readSettingsFile` */
export async function readRunSettings(out: string): Promise<GivenSettings | undefined> {
  const file = resolve(out, SETTINGS_FILE);
  try {
    await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
  }
  return readSettingsFile(file);
}

/**
 * Settings of several sources as those of one run; later ones win.
 *
 * @throws MarianaError `CONFIG_INVALID` for values that make no sense; `USAGE` if something is missing, or does not go
 *   together.
 */
export function completeSettings(...sources: readonly GivenSettings[]): Settings {
  // A preset given by an option takes the place of a config in the file, and the other way round.
  const merged: { -readonly [K in keyof GivenSettings]: GivenSettings[K] } = {};
  for (const source of sources) {
    if (source.preset !== undefined) {
      delete merged.config;
      delete merged.init;
    }
    if (source.config !== undefined) delete merged.preset;
    // A checkpoint takes the place of both, and has its tokens; unless it is the one whose config a run has kept.
    if (source.init !== undefined && source.init !== merged.init) {
      delete merged.preset;
      delete merged.config;
      delete merged.vocab;
    }
    if (source.extendContext !== undefined) delete merged.sequence;
    if (source.schedule !== undefined) {
      // What a run has kept of another schedule means nothing in this one.
      if (merged.schedule === 'constant') delete merged.minLr;
      if (source.schedule !== 'wsd') {
        delete merged.decay;
        delete merged.decayType;
      }
    }
    Object.assign(merged, source);
  }
  const given = check(merged, 'train');
  const usage = (message: string) => new MarianaError('USAGE', message);
  const { data, steps, out } = given;
  if (data === undefined) throw usage('there is nothing to learn from; name files or folders with --data');
  if (steps === undefined) throw usage('say how long to train with --steps');
  if (out === undefined) throw usage('say where the model is to go with --out');
  if (sources.some(({ preset, config }) => preset !== undefined && config !== undefined)) {
    throw usage('give the model either as a preset or as a config, not as both');
  }
  if (sources.some(({ preset, init }) => preset !== undefined && init !== undefined)) {
    throw usage('a checkpoint has an architecture; give --init or --preset, not both');
  }
  if (given.init === undefined && given.extendContext !== undefined) {
    throw usage('--extend-context goes on with a trained model; name its folder with --init');
  }
  if (given.extendContext === undefined && given.yarnFactor !== undefined) {
    throw usage('--yarn-factor is for --extend-context; leave it out');
  }
  if (given.init !== undefined && given.vocab !== undefined) {
    throw usage('--vocab is for a tokenizer that is learned; leave it out where --init names a checkpoint');
  }
  if (given.tokenizer !== undefined && given.vocab !== undefined) {
    throw usage('--vocab is for a tokenizer that is learned; leave it out where --tokenizer names one');
  }
  if (given.evalEvery !== undefined && given.validation === undefined) {
    throw usage('there is nothing to evaluate on; add --validation with a file, or a share such as 0.05');
  }
  if (given.schedule !== 'wsd' && (given.decay !== undefined || given.decayType !== undefined)) {
    throw usage('--decay and --decay-type are for --schedule wsd; add it, or leave them out');
  }
  const lr = given.lr ?? DEFAULTS.lr;
  const settings: Settings = {
    ...DEFAULTS,
    ...(given.config === undefined && given.init === undefined && { preset: 'small' }),
    ...(given.extendContext !== undefined && { sequence: given.extendContext }),
    minLr: given.schedule === 'constant' ? lr : lr / 10,
    warmup: Math.min(200, Math.ceil(steps / 20)),
    ...(given.schedule === 'wsd' && { decay: Math.floor(steps / 5) }),
    ...given,
    data,
    steps,
    out,
  };
  if (settings.warmup >= steps && given.warmup !== undefined) {
    throw usage(`a warm-up of ${settings.warmup} steps leaves none of ${steps}; choose a shorter one with --warmup`);
  }
  if (settings.schedule === 'wsd' && settings.warmup + settings.decay! > steps) {
    throw usage(
      `a warm-up of ${settings.warmup} steps and a decay of ${settings.decay} do not fit into ${steps}; ` +
        'choose shorter ones with --warmup and --decay',
    );
  }
  if (settings.minLr > settings.lr) {
    throw usage(`the learning rate cannot end at ${settings.minLr}, above its peak of ${settings.lr}`);
  }
  return settings;
}

/** Settings as they are kept with a run: paths that hold from everywhere. */
export function portableSettings({ out, ...settings }: Settings): GivenSettings {
  return withPaths(settings, '.');
}

function check(json: unknown, source: string): GivenSettings {
  const result = schema.safeParse(json);
  if (result.success) return result.data as GivenSettings; // keys that are not given are absent in JSON, not undefined
  const issues = result.error.issues.map((issue) => {
    const name = issue.path.map(String).join('.');
    if (issue.code === 'unrecognized_keys') return `${issue.keys.join(', ')}: there is no such setting`;
    return `${name || 'the file'}: ${issue.message}`;
  });
  const more = issues.length > 1 ? ` (and ${issues.slice(1, 4).join('; ')})` : '';
  throw new MarianaError('CONFIG_INVALID', `${source}: ${issues[0]}${more}`, {
    cause: result.error,
    details: { source, problems: issues },
  });
}

/** Settings whose paths start at `folder`, resolved. */
function withPaths(settings: GivenSettings, folder: string): GivenSettings {
  const at = (place: string) => resolve(folder, place);
  const { data, validation, config, init, tokenizer, out } = settings;
  return {
    ...settings,
    ...(data !== undefined && { data: typeof data === 'string' ? at(data) : data.map(at) }),
    ...(typeof validation === 'string' && { validation: at(validation) }),
    ...(typeof config === 'string' && { config: at(config) }),
    ...(init !== undefined && { init: at(init) }),
    ...(tokenizer !== undefined && { tokenizer: at(tokenizer) }),
    ...(out !== undefined && { out: at(out) }),
  };
}
