/**
 * The two claims about training that are shown as pictures: FP8 against BF16, and what balancing does. Trains one small
 * model five times on the same text with the same seed, through the program, and draws the curves.
 *
 *     pnpm bench:training <texts> [--steps 2000] [--threads 2] [--out docs/images]
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
    threads: { type: 'string', default: '2' },
    out: { type: 'string', default: join(ROOT, 'docs/images') },
  },
});
if (texts.length === 0) {
  console.error('say what to train on: pnpm bench:training <texts...>');
  process.exit(2);
}
const steps = Number(options.steps);

interface Step {
  readonly step: number;
  readonly crossEntropy: number;
  /** Choices of each expert, by layer. */
  readonly load: Readonly<Record<string, readonly number[]>>;
}

/** Steps whose loads are counted together: some 25,000 tokens, for what one batch of 512 is about sways its experts. */
const WINDOW = 50;

/** Trains, or finds what was trained, and gives what each step measured. */
function run(name: string, ...flags: string[]): Step[] {
  const settings = {
    data: texts.map((path) => resolve(path)),
    config: CONFIG,
    vocab: CONFIG.vocab_size,
    steps,
    batch: 8,
    sequence: 64,
    lr: 0.003,
    minLr: 0.0003,
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

const losses = (measured: readonly Step[]) => smoothed(measured.map(({ crossEntropy }) => crossEntropy));

/** MaxViolation of the worst balanced layer, of the loads of `WINDOW` steps together. */
function violations(measured: readonly Step[]): (readonly [number, number])[] {
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

const last = (points: readonly (readonly [number, number])[]) => points.at(-1)![1];

mkdirSync(options.out, { recursive: true });

const [bf16, fp8] = [losses(run('bf16', '--precision', 'bf16')), losses(run('fp8', '--precision', 'fp8'))];
const relative = fp8.map(([step, loss], i) => [step, (100 * (loss - bf16[i]![1])) / bf16[i]![1]] as const);
const worst = relative.reduce((most, [, value]) => Math.max(most, Math.abs(value)), 0);
writeFileSync(
  join(options.out, 'training-fp8.svg'),
  picture(steps, [
    {
      title: 'Loss in FP8 and in BF16, same text and seed, means over 100 steps',
      unit: 'nats a token',
      series: [
        { name: 'BF16', color: 1, points: bf16 },
        { name: 'FP8', color: 2, points: fp8 },
      ],
    },
    {
      title: `How much more FP8 loses: at most ${worst.toFixed(2)} % either way`,
      unit: '% of the loss in BF16',
      series: [{ name: 'FP8 against BF16', color: 2, points: relative }],
    },
  ]),
);
console.log(`FP8 against BF16: loss ${last(fp8).toFixed(4)} and ${last(bf16).toFixed(4)},`);
console.log(`  ${last(relative).toFixed(3)} % at the end, at most ${worst.toFixed(3)} % at any step`);

const kinds = { 'bias update': 'bias', 'classic auxiliary loss': 'aux', 'no balancing': 'none' } as const;
const balanced = Object.entries(kinds).map(([name, how], i) => {
  const measured = run(how, '--balance', how);
  return { name, color: i + 1, loss: losses(measured), violation: violations(measured) };
});
writeFileSync(
  join(options.out, 'training-balance.svg'),
  picture(steps, [
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
  const rest = violation.slice(-Math.floor(steps / 2)).map(([, value]) => value);
  const mean = rest.reduce((sum, value) => sum + value, 0) / rest.length;
  console.log(
    `${name}: loss ${last(loss).toFixed(4)}, MaxViolation of the second half ${mean.toFixed(3)} on average, ` +
      `at most ${Math.max(...rest).toFixed(3)}`,
  );
}
