/** The options of `mariana train`. Those that are settings of a run have their names and none of their defaults. */
import { type Command, Option } from 'commander';
import { real, several, text, whole } from '../values.ts';

const positive = real('a number above 0', (value) => value > 0);
const aboveOne = real('a number above 1', (value) => value > 1);
const notNegative = real('a number from 0 up', (value) => value >= 0);

/** A share of the documents, or a path. */
function pathOrShare(value: string): string | number {
  const share = Number(text(value));
  return Number.isNaN(share) ? value : share;
}

/** Adds the options and the help. */
export function addTrainOptions(command: Command): Command {
  return command
    .argument('[config]', 'JSON file with settings; options win over it')
    .option('--data <path...>', 'text or JSONL files, or folders of them, to learn from', several(text))
    .option('--field <name>', 'key of the text in JSONL (default: text)', text)
    .option('--validation <path|share>', 'files to evaluate on, or a share of --data, such as 0.05', pathOrShare)
    .option('--preset <name>', 'architecture, such as tiny or small (default: small)', text)
    .option('--config <path>', 'architecture as a config.json', text)
    .option('--init <folder>', 'checkpoint to begin with: its weights, architecture and tokenizer', text)
    .option('--extend-context <n>', 'with --init: YaRN to n positions, and sequences of n tokens', whole(2))
    .option('--yarn-factor <x>', "its factor (default: the model's own, or 40 as DeepSeek-V3's)", aboveOne)
    .option('--tokenizer <path>', 'tokenizer.json, or a folder with one (default: learned from --data)', text)
    .option('--vocab <n>', 'tokens to learn (default: vocab_size of the architecture, 512 at least)', whole(258))
    .option('--steps <n>', 'steps of the whole run', whole(1))
    .option('--batch <n>', 'sequences in a batch (default: 8)', whole(1))
    .option('--accumulate <n>', 'batches in a step (default: 1)', whole(1))
    .option('--sequence <n>', 'tokens in a sequence (default: 128)', whole(1))
    .option('--lr <rate>', 'highest learning rate (default: 0.001)', positive)
    .option('--min-lr <rate>', 'learning rate at the end (default: a tenth)', notNegative)
    .option('--warmup <n>', 'steps of the warm-up (default: a twentieth, at most 200)', whole(0))
    .addOption(
      new Option('--schedule <name>', 'after the warm-up (default: cosine)').choices(['cosine', 'constant', 'wsd']),
    )
    .option('--decay <n>', 'last steps, in which wsd decays (default: a fifth; 0 for none yet)', whole(0))
    .addOption(new Option('--decay-type <name>', 'of wsd (default: 1-sqrt)').choices(['linear', '1-sqrt']))
    .addOption(
      new Option('--optimizer <name>', 'adamw, or muon for hidden matrices (default: adamw)').choices([
        'adamw',
        'muon',
      ]),
    )
    .addOption(new Option('--precision <p>', 'of products (default: f32)').choices(['f32', 'bf16', 'fp8']))
    .addOption(new Option('--balance <how>', 'of experts (default: bias)').choices(['bias', 'aux', 'none']))
    .option('--bias-rate <rate>', 'step of the balancing biases (default: 0.001)', notNegative)
    .option('--balance-alpha <x>', 'factor of the balance loss (default: 0.0001; aux: 0.01)', notNegative)
    .option('--mtp-weight <x>', 'factor of the multi-token-prediction loss (default: 0.3)', notNegative)
    .option('--mtp-from <n>', 'first step with that loss, which costs time (default: 1)', whole(1))
    .option('--weight-decay <x>', 'of the optimizer (default: 0.1)', notNegative)
    .option('--max-norm <x>', 'gradients are clipped to this norm (default: 1)', positive)
    .addOption(new Option('--moments <dtype>', 'of the optimizer (default: f32)').choices(['f32', 'bf16']))
    .option('--seed <n>', 'of weights and order; equal seeds give equal runs (default: 0)', whole(0, 2 ** 32 - 1))
    .option('--backend <name>', 'what computes: cpu or reference (default: cpu)', text)
    .option('--threads <n>', 'threads that compute (default: number of cores)', whole(1, 1024))
    .option('--out <folder>', 'where model, checkpoint, metrics and report go', text)
    .addOption(new Option('--dtype <dtype>', 'of the exported model (default: bf16)').choices(['bf16', 'fp8']))
    .option('--checkpoint-every <n>', 'steps between two checkpoints (default: 100)', whole(1))
    .option('--eval-every <n>', 'steps between two evaluations (default: as checkpoints)', whole(1))
    .option('--eval-sequences <n>', 'most sequences to evaluate on (default: 64)', whole(1))
    .option('--resume', 'go on with the run in --out')
    .option('--json', 'print the result as JSON, and nothing else on standard output')
    .option('-q, --quiet', 'no progress and no remarks')
    .addHelpText('after', HELP);
}

const HELP = `
A JSONL file has a document on each line, as {"text": ...}; any other file is
one document. --out gets a checkpoint in Hugging Face's layout, its tokenizer,
metrics.jsonl (a line for each step), report.html, and training.safetensors,
the state that --resume goes on from: with the same numbers as if the run had
never stopped. Ctrl-C saves that state first.

  mariana train --data ./stories.jsonl --preset small --steps 500 --out ./model
  mariana train recipe.json --steps 2000
  mariana train --init ./model --extend-context 512 --data ./long --out ./longer
  mariana train --resume --out ./model`;
