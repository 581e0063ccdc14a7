/** The options of `generate` and `chat` that say how tokens are chosen and where a text ends. */
import type { GenerateOptions } from '@mariana/runtime';
import { type Command, Option } from 'commander';
import { real, several, text, whole } from './values.ts';

/** What the command line gave; absent where the runtime's default holds. */
export interface SamplingFlags {
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly stopToken?: readonly number[];
  /** True for --ignore-eos, false for --no-ignore-eos. */
  readonly ignoreEos?: boolean;
}

/** Adds the options to a command. */
export function addSamplingOptions(command: Command): Command {
  return command
    .option('--temperature <t>', 'divides the logits; 0 takes the most probable token (default: 0.6)', nonNegative)
    .option('--top-k <k>', 'keep the k most probable tokens; 0 keeps all (default: 0)', whole(0))
    .option('--top-p <p>', 'keep the most probable tokens that together have this probability (default: 0.95)', share)
    .option('--min-p <p>', "keep tokens with at least this share of the best token's probability (default: 0)", upToOne)
    .option('--repetition-penalty <r>', 'make tokens that occurred less likely; 1 is off (default: 1)', aboveZero)
    .option('--seed <n>', 'makes sampling repeatable (default: a new one each time)', whole(0, 2 ** 32 - 1))
    .option('--stop <text>', 'end before this text; can be given several times', several(text))
    .option('--stop-token <id>', 'end at this token; can be given several times', several(whole(0)))
    .addOption(new Option('--ignore-eos', "go on past the model's end-of-text token"))
    .addOption(new Option('--no-ignore-eos', "end at the model's end-of-text token"));
}

const nonNegative = real('a number from 0 up', (value) => value >= 0);
const aboveZero = real('a number above 0', (value) => value > 0);
const share = real('above 0 and at most 1', (value) => value > 0 && value <= 1);
const upToOne = real('between 0 and 1', (value) => value >= 0 && value <= 1);

/** The options as the runtime takes them. A seed is always among them, so that it can be told. */
export function samplingOptions(flags: SamplingFlags): GenerateOptions & { readonly seed: number } {
  const { maxTokens, temperature, topK, topP, minP, repetitionPenalty, stop, stopToken, ignoreEos } = flags;
  return {
    ...(maxTokens !== undefined && { maxTokens }),
    ...(temperature !== undefined && { temperature }),
    ...(topK !== undefined && { topK }),
    ...(topP !== undefined && { topP }),
    ...(minP !== undefined && { minP }),
    ...(repetitionPenalty !== undefined && { repetitionPenalty }),
    ...(stop !== undefined && { stop }),
    ...(stopToken !== undefined && { stopTokens: stopToken }),
    ...(ignoreEos !== undefined && { ignoreEos }),
    seed: flags.seed ?? Math.floor(Math.random() * 2 ** 32),
  };
}
