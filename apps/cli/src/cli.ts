/**
 * The command line: which commands there are, what they take, and how they end. Each command's own code is loaded when
 * it is called, so that `--help` and mistyped options answer at once.
 */
import { Command, Option } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { WEIGHT_FORMATS } from './backends.ts';
import { BAD_INPUT, fail } from './failure.ts';
import type { Io } from './io.ts';
import { STORIES } from './model-place.ts';
import { addSamplingOptions } from './sampling-options.ts';
import { addTrainOptions } from './train/flags.ts';
import { byteCount, ids, several, text, whole } from './values.ts';

/** Runs a command line. Returns the exit code: 0, 1 for a fault of the program, 2 for bad input, 130 for ctrl-C. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const mariana = program(io);
  if (args.length === 0) {
    io.stderr.write(mariana.helpInformation());
    return BAD_INPUT;
  }
  try {
    await mariana.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    return fail(error, io, { json: args.includes('--json') });
  }
}

function program(io: Io): Command {
  const program = new Command('mariana')
    .description('Runs and trains language models of the DeepSeek-V3 family.')
    .version(manifest.version, '-V, --version')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      // `fail` says it, in one line.
      writeErr: () => {},
    })
    .configureHelp({ showGlobalOptions: false })
    .addHelpText('after', EXAMPLES);
  addGenerate(program, io);
  addChat(program, io);
  addScore(program, io);
  addInspect(program, io);
  addInit(program, io);
  addTrain(program, io);
  addConvert(program, io);
  return program;
}

const EXAMPLES = `
Examples:
  mariana generate --prompt "Once upon a time"
  mariana inspect deepseek-v3
  mariana init --preset small --seed 1 --out ./small --tokenizer
  mariana generate --model ./small --prompt "Once upon a time" --max-tokens 50
  mariana generate --help

Exit codes: 0 done; 2 bad input, and one line says what, where and what to do;
130 interrupted; 1 a fault of the program.`;

/** As `SAFETENSORS_WEIGHTS` and `GGUF_QUANTS` have them; written out here so that --help loads nothing. */
const CONVERTED_WEIGHTS = ['f32', 'bf16', 'fp8', 'int8', 'int4'];
const CONVERTED_QUANTS = ['f32', 'f16', 'bf16', 'q8_0'];

const MODEL =
  'folder with config.json and *.safetensors, GGUF file, URL of either, name of a preset (random weights), or stories: the small model that comes along';
const SPECULATE = 'draft tokens by multi-token prediction: the same text, faster where drafts are good';

function addModelOptions(command: Command): Command {
  return command
    .option('--model <place>', MODEL, text, STORIES)
    .option('--backend <name>', 'what computes: cpu, reference or auto (the fastest there is; default: cpu)', text)
    .addOption(
      new Option(
        '--weights <format>',
        'how weights are held: native keeps them as they come, the others convert while loading',
      ).choices(WEIGHT_FORMATS),
    )
    .option('--threads <n>', 'threads that compute (default: number of cores)', whole(1, 1024))
    .option('--no-wide-vectors', "leave V8's experimental 256-bit vectors off, which change speed alone")
    .option('--json', 'print the result as JSON, and nothing else on standard output')
    .option('-q, --quiet', 'no progress and no remarks');
}

function addGenerate(program: Command, io: Io): void {
  const command = addModelOptions(program.command('generate').description('Go on from a prompt.'))
    .option('--prompt <text>', 'text to go on from; takes the tokenizer of the model')
    .option('--ids <ids>', 'token ids to go on from, such as 1,2,3; takes no tokenizer', ids)
    .option('--max-tokens <n>', 'most tokens to generate (default: as many as the context holds)', whole(0))
    .option('--echo', 'without --json: show the prompt before the text that goes on from it');
  addSamplingOptions(command)
    .option('--logprobs <n>', 'with --json: log-probabilities of each token and of n alternatives', whole(0))
    .option('--context <n>', 'most tokens of prompt and answer together (default: what the model allows)', whole(1))
    .option('--speculate', SPECULATE)
    .addHelpText(
      'after',
      `
A text (--prompt) ends at the model's end-of-text token, at a stop, or after
--max-tokens. Raw tokens (--ids) are taken literally: exactly --max-tokens ids
come out, and the end-of-text token does not end them unless --no-ignore-eos is
given. The ids include the end-of-text token and the tokens of a stop text; the
text does not. Without a tokenizer ids are printed, and "text" is null.`,
    )
    .action(async (flags) => (await import('./commands/generate.ts')).generate(flags, io));
}

function addChat(program: Command, io: Io): void {
  const command = addModelOptions(program.command('chat').description('Talk with a model, by its own chat template.'))
    .option('--system <text>', 'message of the system at the beginning')
    .option('--max-tokens <n>', 'most tokens of an answer (default: as many as the context holds)', whole(1));
  addSamplingOptions(command)
    .option('--context <n>', 'most tokens of the conversation (default: what the model allows)', whole(1))
    .option('--speculate', SPECULATE)
    .addHelpText(
      'after',
      `
Each line is a message. /reset forgets the conversation, /exit ends it, ctrl-C
stops an answer. Messages can also be piped in; with --json each answer is one
JSON object on a line of its own.`,
    )
    .action(async (flags) => (await import('./commands/chat.ts')).chat(flags, io));
}

function addScore(program: Command, io: Io): void {
  addModelOptions(program.command('score').description('Tell how probable a text is under a model.'))
    .option('--text <text>', 'text to score', text)
    .option('--file <path>', 'file with the text to score, in UTF-8', text)
    .option('--ids <ids>', 'token ids to score, such as 1,2,3; takes no tokenizer', ids)
    .option('--data <path...>', 'text or JSONL files, or folders of them, to score document by document', several(text))
    .option('--field <name>', 'with --data: key of the text in JSONL (default: text)', text)
    .option('--context <n>', 'with --data: most tokens seen at once (default: what the model allows)', whole(2))
    .option('--logits <path>', 'write the logits, F32 [tokens, vocab_size], to this safetensors file', text)
    .option('--mtp', 'also run the multi-token-prediction module: its perplexity, and mtp_logits beside logits')
    .addHelpText(
      'after',
      `
The first token has no log-probability, since nothing is before it. Bits per
byte are the nats of all other tokens, over ln 2 and the bytes of the text in
UTF-8; null for ids that stand for no text. Row i of mtp_logits predicts token
i + 2.

With --data every document is scored from its beginning, as in training, and
the figures are those of all together: each token and each byte counts once. A
document longer than the context is scored in windows that overlap by half.

  mariana score --model ./model --data val.jsonl`,
    )
    .action(async (flags) => (await import('./commands/score.ts')).score(flags, io));
}

function addInspect(program: Command, io: Io): void {
  program
    .command('inspect')
    .description('Tell what a model is made of and what it takes to run, and check its files.')
    .argument('<what>', 'folder of a checkpoint, GGUF file, URL of either, config.json, name of a preset, or stories')
    .option('--context <n>', 'tokens of context that operations are counted at (default: 4096)', whole(1))
    .option('--json', 'print the result as JSON, and nothing else on standard output')
    .action(async (what, flags) => (await import('./commands/inspect.ts')).inspect(what, flags, io));
}

function addInit(program: Command, io: Io): void {
  program
    .command('init')
    .description('Write a checkpoint with fresh random weights.')
    .requiredOption('--preset <name>', 'architecture, such as tiny, small or deepseek-v2-lite', text)
    .requiredOption('--out <folder>', 'where to write; made if need be, and empty unless --force', text)
    .option('--seed <n>', 'equal seeds give equal weights', whole(0, 2 ** 32 - 1), 0)
    .addOption(new Option('--dtype <dtype>', 'format of the projections').choices(['bf16', 'fp8']).default('bf16'))
    .option('--tokenizer [file]', 'also a tokenizer: bytes, or words learned from this text file')
    .option('--max-shard-size <bytes>', 'most bytes of weights in one file', byteCount, 5e9)
    .option('--force', 'write into a folder that is not empty, replacing files of the same names')
    .option('--json', 'print the result as JSON, and nothing else on standard output')
    .option('-q, --quiet', 'no progress')
    .action(async (flags) => (await import('./commands/init.ts')).init(flags, io));
}

function addConvert(program: Command, io: Io): void {
  program
    .command('convert')
    .description('Write a model in another format: packed safetensors, or GGUF for llama.cpp.')
    .requiredOption('--model <place>', MODEL, text)
    .requiredOption(
      '--out <place>',
      'folder to write to, or file *.gguf; made if need be, and new unless --force',
      text,
    )
    .addOption(
      new Option('--to <kind>', 'kind of files (default: gguf for an --out that ends so, else safetensors)').choices([
        'safetensors',
        'gguf',
      ]),
    )
    .addOption(
      new Option('--weights <format>', 'safetensors: format of the projections (default: int8)').choices(
        CONVERTED_WEIGHTS,
      ),
    )
    .addOption(new Option('--quant <format>', 'gguf: format of the matrices (default: q8_0)').choices(CONVERTED_QUANTS))
    .option('--max-shard-size <bytes>', 'safetensors: most bytes of weights in one file', byteCount, 5e9)
    .option('--seed <n>', 'for a preset: seed of its random weights', whole(0, 2 ** 32 - 1), 0)
    .option('--force', 'write into a folder that is not empty, or over a file')
    .option('--json', 'print the result as JSON, and nothing else on standard output')
    .option('-q, --quiet', 'no progress and no remarks')
    .addHelpText(
      'after',
      `
int8 and int4 are integers with one scale for 128 and 32 inputs; loading them
needs no conversion. fp8 is DeepSeek's own layout. A GGUF file is loaded by
llama.cpp; it has no multi-token-prediction layers.`,
    )
    .action(async (flags) => (await import('./commands/convert.ts')).convert(flags, io));
}

function addTrain(program: Command, io: Io): void {
  addTrainOptions(program.command('train').description('Train a model on texts, from nothing to a checkpoint.')).action(
    async (config, flags) => (await import('./commands/train.ts')).train(config, flags, io),
  );
}
