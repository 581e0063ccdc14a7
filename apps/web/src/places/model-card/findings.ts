/** The sentence above each picture of a model card. Each is made of the card's numbers, and says what they mean. */
import { publishedTraining } from '@mariana/core';
import { bytes, percent, times } from '../../ui/numbers.ts';
import { type AttentionKind, type Card, type CardFormat, H800_BYTES, TOKENS_PER_PARAMETER } from './card.ts';
import { count, digits, exact, flop, hours } from './figures.ts';

export const FORMAT_NAMES: Readonly<Record<CardFormat, string>> = {
  bf16: 'BF16',
  fp8: 'FP8',
  int8: 'INT8',
  int4: 'INT4',
};

export const ATTENTION_NAMES: Readonly<Record<AttentionKind, string>> = {
  latent: 'Latent (MLA)',
  grouped: 'Grouped (GQA)',
  'multi-head': 'Plain (MHA)',
};

/** The card in one line. */
export function shapeFinding({ config, moeLayers }: Card): string {
  const { numHiddenLayers: layers, nRoutedExperts: experts, numExpertsPerTok, nSharedExperts } = config;
  const shared = nSharedExperts === 0 ? '' : `, and ${nSharedExperts} shared`;
  const routing =
    experts === 0
      ? 'none with experts'
      : `${moeLayers} of them with ${experts} experts, of which a token takes ${numExpertsPerTok}${shared}`;
  return `${layers} layers, ${routing}; ${config.numAttentionHeads} heads of attention over a latent of ${config.kvLoraRank} numbers.`;
}

export function parametersFinding({ parameters, config, components }: Card): string {
  const { total, active } = parameters;
  const head = `${count(total)} parameters, and a token uses ${count(active)} of them (${percent(active / total)})`;
  const largest = components.reduce((most, one) => (one.total > most.total ? one : most));
  const share = percent(largest.total / total);
  if (config.nRoutedExperts === 0) return `${head}: there are no experts to choose from.`;
  if (largest.name !== 'Routed experts') return `${head}. The largest part is ${lower(largest.name)}, with ${share}.`;
  return (
    `${head}: the routed experts hold ${share} of all, and ` +
    `${config.numExpertsPerTok} of ${config.nRoutedExperts} work for a token.`
  );
}

export function weightsFinding({ weights }: Card): string {
  const of = (format: CardFormat): number => weights.find((row) => row.format === format)!.bytes.total;
  const [wide, fp8, narrow] = [of('bf16'), of('fp8'), of('int4')];
  return (
    `FP8 takes ${bytes(fp8)}, ${percent(fp8 / wide)} of the ${bytes(wide)} of BF16, and ${devices(fp8)}; ` +
    `INT4 takes ${bytes(narrow)}, and ${devices(narrow)}.`
  );
}

/** How many accelerators hold so many bytes. */
export function devices(size: number): string {
  const number = Math.ceil(size / H800_BYTES);
  return number === 1 ? `fits one H800 (80 GB)` : `fills ${exact(number)} H800s of 80 GB`;
}

export function cacheFinding({ cache }: Card): string {
  const at = (kind: AttentionKind): number =>
    cache.series.find((one) => one.kind === kind)!.bytesPerToken * cache.context;
  const [latent, grouped, plain] = [at('latent'), at('grouped'), at('multi-head')];
  const groups = `grouped attention with ${cache.groups} ${cache.groups === 1 ? 'group' : 'groups'}`;
  const compared = (size: number): string =>
    size >= latent ? `${times(size / latent)} as much` : `${percent(size / latent)} of that`;
  return (
    `At ${exact(cache.context)} tokens the latent cache takes ${bytes(latent)}; ${groups} would take ` +
    `${bytes(grouped)}, ${compared(grouped)}, and plain attention ${bytes(plain)}, ${compared(plain)}.`
  );
}

export function trainingFinding({ training }: Card): string {
  const { cost, tokens, published } = training;
  const v3 = publishedTraining('deepseek-v3')!.gpuHours!;
  const work = `${count(tokens)} tokens at ${flop(cost.flopsPerToken)} each are ${flop(cost.flops)}`;
  if (published?.gpuHours && tokens === published.tokens) {
    const { preTraining, total } = published.gpuHours;
    return (
      `${work}, done in ${count(preTraining)} H800 hours: ${percent(cost.utilization)} of the BF16 peak. ` +
      `With context extension and post-training the report counts ${(total / 1e6).toFixed(3)} M.`
    );
  }
  const share = cost.gpuHours / v3.preTraining;
  const compared = share > 1 ? `${digits(share)} times` : percent(share);
  return `${work}: ${hours(cost.gpuHours)} H800 hours, ${compared}${share > 1 ? '' : ' of'} what DeepSeek-V3's pre-training took.`;
}

/** What the training figures rest on, a sentence each. */
export function trainingAssumptions({ training }: Card): string[] {
  const { cost, tokensFrom, sequenceLength, published } = training;
  const tokens = {
    published: `Tokens as published: ${published?.source ?? ''}.`,
    chosen: 'Tokens as chosen here.',
    rule: `Tokens: ${TOKENS_PER_PARAMETER} for each active parameter, since nothing was published (Hoffmann et al. 2022).`,
  };
  return [
    'Hours = tokens x operations a token / (peak x utilisation x 3600 s).',
    'Operations a token: three times those of the forward pass (one forward, two backward), matrix products only, ' +
      `multi-token prediction included, at sequences of ${exact(sequenceLength)} tokens.`,
    `Peak: 989.4 TFLOP/s, an H800 in dense BF16. Utilisation: ${percent(cost.utilization)}, what DeepSeek-V3's ` +
      '14.8 T tokens in 2.664 M hours come to; for that model the formula is right by construction, for others it is an estimate.',
    tokens[tokensFrom],
  ];
}

function lower(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
