/**
 * Fused kernels against plain operations of TensorFlow.js, on the same adapter: `pnpm bench [--model bench-1b]
 * [--tokens 16] [--prompt 64] [--rounds 5]`.
 *
 * The same model, with the same random weights, decodes the same tokens twice: on `webgpu()`, and on the adapter of
 * backend-tfjs over tfjs-webgpu's own operations (which holds weights as F32 and reads the routing back). The two take
 * turns, and the ratio is the median of the rounds' ratios. Times on a driver in software say how the two compare and
 * nothing of a GPU; the counts hold anywhere.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { tfjs } from '@mariana/backend-tfjs';
import type { Backend } from '@mariana/core';
import { Model } from '@mariana/runtime';
import * as tf from '@tensorflow/tfjs-core';
import { webgpu } from '../src/index.ts';
import { vulkanVariables } from '../test/support/vulkan.ts';

const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: 'small' },
    tokens: { type: 'string', default: '8' },
    prompt: { type: 'string', default: '32' },
    rounds: { type: 'string', default: '3' },
  },
});
const [tokens, prompt, rounds] = [Number(options.tokens), Number(options.prompt), Number(options.rounds)];

const fused = await webgpu({ tf }).catch(startOnSoftware);
const plain = await tfjs({ tf, engine: 'webgpu' });
const copies = countCopies();

/** Milliseconds of the prompt and of each token after it, and what a token cost. */
interface Sample {
  readonly prefill: number;
  readonly decode: number;
  /** Milliseconds of all cores for a token, a driver in software included: what other programs disturb least. */
  readonly cpu: number;
  readonly ids: readonly number[];
  readonly dispatches: number;
  readonly reads: number;
  readonly bytesRead: number;
}

async function measure(model: Model): Promise<Sample> {
  const { vocabSize } = model.config;
  const given = Array.from({ length: prompt }, (_, i) => (i * 7919) % vocabSize);
  using session = model.session();
  const start = performance.now();
  const generation = session.generate(given, { temperature: 0, ignoreEos: true, maxTokens: tokens + 1 });
  await generation.next();
  const first = performance.now();
  const before = process.cpuUsage();
  fused.resetCounts();
  copies.reads = copies.bytes = 0;
  for await (const _ of generation);
  const decode = (performance.now() - first) / tokens;
  const { user, system } = process.cpuUsage(before);
  return {
    prefill: first - start,
    decode,
    cpu: (user + system) / 1000 / tokens,
    ids: session.tokens.slice(prompt),
    dispatches: fused.counts().dispatches / tokens,
    reads: copies.reads / tokens,
    bytesRead: copies.bytes / tokens,
  };
}

/** Every copy of a buffer to the host, whoever asks for it. */
function countCopies(): { reads: number; bytes: number } {
  const counts = { reads: 0, bytes: 0 };
  const prototype = Object.getPrototypeOf(fused.device.createBuffer({ size: 4, usage: 8 })) as GPUBuffer;
  const { mapAsync } = prototype;
  prototype.mapAsync = function (...args) {
    counts.reads++;
    counts.bytes += this.size;
    return mapAsync.apply(this, args);
  };
  return counts;
}

const load = (backend: Backend) => Model.load(options.model, { backend });
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

console.log(`${options.model}, ${prompt} tokens of prompt, ${tokens} decoded; adapter: ${fused.adapter}`);
const ours = await load(fused);
const theirs = await load(plain);
// Compiles every kernel.
await measure(ours);
await measure(theirs);
const pairs: (readonly [Sample, Sample])[] = [];
for (let round = 0; round < rounds; round++) pairs.push([await measure(ours), await measure(theirs)]);
const named = [
  ['fused', pairs.map(([sample]) => sample)],
  ['plain tfjs', pairs.map(([, sample]) => sample)],
] as const;
for (const [name, samples] of named) {
  const { dispatches, reads, bytesRead } = samples[0]!;
  const middle = (of: (sample: Sample) => number) => median(samples.map(of));
  const [prefill, decode, cpu] = [middle((s) => s.prefill), middle((s) => s.decode), middle((s) => s.cpu)];
  console.log(
    `${name}: prefill ${prefill.toFixed(0)} ms; a token takes ${decode.toFixed(1)} ms (${cpu.toFixed(1)} ms of CPU), ` +
      `${dispatches.toFixed(0)} dispatches, ${reads.toFixed(1)} reads of together ${bytesRead.toFixed(0)} bytes`,
  );
}
const ratios = (of: (sample: Sample) => number) => pairs.map(([a, b]) => of(b) / of(a)).sort((a, b) => a - b);
const said = (all: readonly number[]) =>
  `${median(all).toFixed(1)} (${all[0]!.toFixed(1)} to ${all.at(-1)!.toFixed(1)})`;
console.log(
  `fused against plain: decode ${said(ratios((s) => s.decode))}, its CPU ${said(ratios((s) => s.cpu))}, ` +
    `prefill ${said(ratios((s) => s.prefill))}`,
);
const same = pairs.every(([a, b]) => `${a.ids}` === `${b.ids}`);
console.log(same ? 'both chose the same tokens' : 'they chose different tokens: one of them is wrong');
if (!same) process.exitCode = 1;
theirs.dispose();
ours.dispose();
plain.dispose();
fused.dispose();

/** Where there is no adapter: once more, on the driver in software, which a process must know of when it starts. */
function startOnSoftware(reason: unknown): never {
  const software = vulkanVariables();
  if (Object.keys(software).length === 0) throw reason;
  console.log('no GPU here: on the driver in software that comes with Chromium');
  const { status } = spawnSync(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    env: { ...process.env, ...software },
    stdio: 'inherit',
  });
  process.exit(status ?? 1);
}
