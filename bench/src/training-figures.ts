/**
 * The two claims about training that are shown as pictures: FP8 against BF16, and what balancing does. Trains one small
 * model seven times on the same text with the same seed, through the program, and draws the curves. FP8 is compared at a
 * constant learning rate and at one that falls to zero, since what rounding costs shows more as weights settle.
 *
 *     pnpm bench:training <texts> [--steps 2000] [--balance-steps 1000] [--threads 2] [--out docs/images]
 *
 * Runs are kept in ~/.cache/mariana-bench and go on where they were stopped.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { maxViolation } from '@mariana/train';
import { cacheFolder } from './peers/cache-folder.ts';
import { picture, smoothed } from './picture.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** 1.4 M parameters: two layers with 16 experts, wide enough for FP8 to have whole tiles of 128. */
const CONFIG = {
  architectures: ['DeepseekV3ForCausalLM'],
  bos_token_id: 0,
  eos_token_id: 1,
  first_k_dense_replace: 1,
  hidden_act: 'silu',
  hidden_size: 128,
  initializer_range: 0.05,
  intermediate_size: 256,
  kv_lora_rank: 64,
  max_position_embeddings: 128,
  model_type: 'deepseek_v3',
  moe_intermediate_size: 64,
  n_group: 1,
  n_routed_experts: 16,
  n_shared_experts: 1,
  norm_topk_prob: true,
  num_attention_heads: 4,
  num_experts_per_tok: 2,
  num_hidden_layers: 3,
  num_key_value_heads: 4,
  q_lora_rank: null,
  qk_nope_head_dim: 32,
  qk_rope_head_dim: 16,
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
  routed_scaling_factor: 1,
  scoring_func: 'sigmoid',
  tie_word_embeddings: false,
  topk_group: 1,
  topk_method: 'noaux_tc',
  v_head_dim: 32,
  vocab_size: 1024,
};

const { values: options, positionals: texts } = parseArgs({
  allowPositionals: true,
  options: {
    steps: { type: 'string', default: '2000' },
    'balance-steps': { type: 'string', default: '1000' },
    threads: { type: 'string', default: '2' },
    out: { type: 'string', default: join(ROOT, 'docs/images') },
  },
});
if (texts.length === 0) {
  console.error('say what to train on: pnpm bench:training <texts...>');
  process.exit(2);
}
const steps = Number(options.steps);
const balanceSteps = Number(options['balance-steps']);

interface Step {
  readonly step: number;
  readonly crossEntropy: number;
  /** Choices of each expert, by layer. */
  readonly load: Readonly<Record<string, readonly number[]>>;
}

/** Steps whose loads are counted together: some 40,000 tokens, for what one batch is about sways its experts. */
const WINDOW = 10;

/** Trains, or finds what was trained, and gives what each step measured. */
function run(name: string, steps: number, ...flags: string[]): Step[] {
  const settings = {
    data: texts.map((path) => resolve(path)),
    config: CONFIG,
    vocab: CONFIG.vocab_size,
    steps,
    batch: 64,
    sequence: 64,
    lr: 0.002,
    minLr: 0,
    warmup: 100,
    seed: 1,
    threads: Number(options.threads),
  };
  const folder = join(cacheFolder(), 'training', `${name}-${steps}`);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'settings.json');
  writeFileSync(file, JSON.stringify(settings));
  const program = join(ROOT, 'apps/cli/src/main.ts');
  const { status } = spawnSync(
    process.execPath,
    [
      '--conditions=@mariana/source',
      program,
      'train',
      file,
      '--out',
      join(folder, 'run'),
      ...flags,
      ...resumption(folder),
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  if (status !== 0) throw new Error(`the run ${name} failed`);
  const lines = readFileSync(join(folder, 'run/metrics.jsonl'), 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Step).filter(({ crossEntropy }) => crossEntropy !== undefined);
}

/** The flag that goes on with a run, where there is one. */
function resumption(folder: string): string[] {
  try {
    readFileSync(join(folder, 'run/training.safetensors'));
    return ['--resume'];
  } catch {
    return [];
  }
}

type Points = readonly (readonly [number, number])[];

const losses = (measured: readonly Step[]): Points => smoothed(measured.map(({ crossEntropy }) => crossEntropy));

/** MaxViolation of the worst balanced layer, of the loads of `WINDOW` steps together. */
function violations(measured: readonly Step[]): Points {
  const points: (readonly [number, number])[] = [];
  for (let end = WINDOW; end <= measured.length; end++) {
    const part = measured.slice(end - WINDOW, end);
    const layers = Object.keys(part[0]!.load);
    const worst = layers.map((layer) => {
      const sums = part[0]!.load[layer]!.map((_, expert) =>
        part.reduce((sum, { load }) => sum + load[layer]![expert]!, 0),
      );
      return maxViolation(sums);
    });
    points.push([end, Math.max(...worst)]);
  }
  return points;
}

const last = (points: Points) => points.at(-1)![1];

mkdirSync(options.out, { recursive: true });

/** Losses in both precisions, and by how much more FP8 loses, in percent. */
function compared(name: string, ...flags: string[]) {
  const [bf16, fp8] = ['bf16', 'fp8'].map((precision) =>
    losses(run(`${precision}${name}`, steps, '--precision', precision, ...flags)),
  ) as [Points, Points];
  const more = fp8.map(([step, loss], i) => [step, (100 * (loss - bf16[i]![1])) / bf16[i]![1]] as const);
  const worst = more.reduce((most, [, value]) => Math.max(most, Math.abs(value)), 0);
  console.log(`FP8 against BF16${name}: loss ${last(fp8).toFixed(4)} and ${last(bf16).toFixed(4)},`);
  console.log(`  ${last(more).toFixed(3)} % at the end, at most ${worst.toFixed(3)} % at any step`);
  return { bf16, fp8, more, worst };
}

const constant = compared('-constant', '--schedule', 'constant');
const falling = compared('');
writeFileSync(
  join(options.out, 'training-fp8.svg'),
  picture(steps, [
    {
      title: 'Loss at a constant learning rate, same text and seed, means over 100 steps',
      unit: 'nats a token',
      series: [
        { name: 'BF16', color: 1, points: constant.bf16 },
        { name: 'FP8', color: 2, points: constant.fp8 },
      ],
    },
    {
      title: 'How much more FP8 loses than BF16, either way of setting the learning rate',
      unit: '% of the loss in BF16',
      series: [
        { name: `constant: at most ${constant.worst.toFixed(2)} %`, color: 2, points: constant.more },
        { name: `falling to zero: at most ${falling.worst.toFixed(2)} %`, color: 3, points: falling.more },
      ],
    },
  ]),
);

const kinds = { 'bias update': 'bias', 'classic auxiliary loss': 'aux', 'no balancing': 'none' } as const;
const balanced = Object.entries(kinds).map(([name, how], i) => {
  const measured = run(how, balanceSteps, '--balance', how);
  return { name, color: i + 1, loss: losses(measured), violation: violations(measured) };
});
writeFileSync(
  join(options.out, 'training-balance.svg'),
  picture(balanceSteps, [
    {
      title: `MaxViolation of the worst balanced layer, loads of ${WINDOW} steps together`,
      unit: 'MaxViolation',
      series: balanced.map(({ name, color, violation }) => ({ name, color, points: violation })),
    },
    {
      title: 'Loss, means over 100 steps',
      unit: 'nats a token',
      series: balanced.map(({ name, color, loss }) => ({ name, color, points: loss })),
    },
  ]),
);
for (const { name, loss, violation } of balanced) {
  const rest = violation.slice(-Math.floor(balanceSteps / 2)).map(([, value]) => value);
  const mean = rest.reduce((sum, value) => sum + value, 0) / rest.length;
  console.log(
    `${name}: loss ${last(loss).toFixed(4)}, MaxViolation of the second half ${mean.toFixed(3)} on average, ` +
      `at most ${Math.max(...rest).toFixed(3)}`,
  );
}
