/** Everything that a model card shows, as numbers: from a view to rows and series, without a word about how they look. */
import {
  type AccountedFormat,
  countParameters,
  isMoeLayer,
  kvCacheBytesPerToken,
  type ModelConfig,
  type ParameterCount,
  type PublishedTraining,
  preset,
  publishedTraining,
  type TrainingCost,
  trainingCost,
  type WeightBytes,
  weightBytes,
} from '@mariana/core';
import { type CardView, configOf, LONGEST_CONTEXT, published, titleOf } from './view.ts';

/** Memory of one H800, in bytes: what weights and caches are measured by. */
export const H800_BYTES = 80e9;

/** Training tokens for each active parameter where nothing was published (Hoffmann et al. 2022, arXiv 2203.15556). */
export const TOKENS_PER_PARAMETER = 20;

/** Formats that a card shows, widest first. */
const CARD_FORMATS = ['bf16', 'fp8', 'int8', 'int4'] as const satisfies readonly AccountedFormat[];
export type CardFormat = (typeof CARD_FORMATS)[number];

/** A component of the model. */
export interface Component {
  readonly name: string;
  readonly total: number;
  /** Of these, what one token uses. */
  readonly active: number;
}

/** Kinds of attention that caches are reckoned for. */
export type AttentionKind = 'latent' | 'grouped' | 'multi-head';

/** The cache at each length of context. */
export interface CacheSeries {
  readonly kind: AttentionKind;
  readonly bytesPerToken: number;
  /** Context in tokens and bytes of cache. */
  readonly points: readonly (readonly [tokens: number, bytes: number])[];
}

/** Hours of training of one model. */
interface TrainingRow {
  readonly name: string;
  readonly tokens: number;
  readonly cost: TrainingCost;
  /** Whether it is the model of the card. */
  readonly isThis: boolean;
}

export interface Card {
  readonly title: string;
  readonly config: ModelConfig;
  readonly parameters: ParameterCount;
  readonly moeLayers: number;
  readonly components: readonly Component[];
  readonly weights: readonly { readonly format: CardFormat; readonly bytes: WeightBytes }[];
  readonly cache: {
    readonly context: number;
    /** Groups that were reckoned with: those of the view, at most the heads. */
    readonly groups: number;
    readonly series: readonly CacheSeries[];
  };
  readonly training: {
    readonly tokens: number;
    /** Where the number of tokens comes from. */
    readonly tokensFrom: 'published' | 'chosen' | 'rule';
    readonly sequenceLength: number;
    readonly cost: TrainingCost;
    readonly published: PublishedTraining | null;
    /** This model and the published ones, from most to fewest hours. */
    readonly rows: readonly TrainingRow[];
  };
}

/**
 * The card of a view.
 *
 * @throws MarianaError what `configOf` throws.
 */
export function cardOf(view: CardView): Card {
  const config = configOf(view);
  const parameters = countParameters(config);
  const layers = Array.from({ length: config.numHiddenLayers }, (_, layer) => layer);
  return {
    title: titleOf(view),
    config,
    parameters,
    moeLayers: layers.filter((layer) => isMoeLayer(config, layer)).length,
    components: componentsOf(config, parameters),
    weights: CARD_FORMATS.map((format) => ({ format, bytes: weightBytes(config, format) })),
    cache: cacheOf(config, view),
    training: trainingOf(config, parameters, view),
  };
}

function componentsOf(config: ModelConfig, parameters: ParameterCount): Component[] {
  const { embedding, head, attention, denseMlp, routedExperts, sharedExperts, router, norms, mtp } = parameters;
  const chosen = config.nRoutedExperts === 0 ? 0 : config.numExpertsPerTok / config.nRoutedExperts;
  const whole = (name: string, total: number): Component => ({ name, total, active: total });
  const rows = [
    { name: 'Routed experts', total: routedExperts, active: routedExperts * chosen },
    whole('Shared experts', sharedExperts),
    whole('Attention', attention.total),
    whole('Dense feed-forward', denseMlp),
    // A tied table is the head as well, and as the head all of it takes part.
    { name: 'Embedding', total: embedding, active: config.tieWordEmbeddings ? embedding : 0 },
    whole('Output head', head),
    whole('Router', router),
    whole('Norms', norms),
  ];
  if (mtp !== null) rows.push({ name: 'MTP layer (besides)', total: mtp.own, active: mtp.active });
  return rows.filter(({ total }) => total > 0);
}

/** Lengths at which caches are drawn: powers of two from 1 K, up to what the card shows. */
export function contextLengths(longest = LONGEST_CONTEXT): number[] {
  const lengths: number[] = [];
  for (let tokens = 1024; tokens < longest; tokens *= 2) lengths.push(tokens);
  return [...lengths, longest];
}

function cacheOf(config: ModelConfig, view: CardView): Card['cache'] {
  const groups = Math.min(view.groups, config.numAttentionHeads);
  const kinds: readonly AttentionKind[] = ['latent', 'grouped', 'multi-head'];
  const series = kinds.map((attention) => {
    const bytesPerToken = kvCacheBytesPerToken(config, { attention, groups, dtype: view.cache });
    const points = contextLengths().map((tokens) => [tokens, tokens * bytesPerToken] as const);
    return { kind: attention, bytesPerToken, points };
  });
  return { context: view.context, groups, series };
}

function trainingOf(config: ModelConfig, parameters: ParameterCount, view: CardView): Card['training'] {
  const known = published(view);
  const tokens = view.tokens ?? known?.tokens ?? TOKENS_PER_PARAMETER * parameters.active;
  const sequenceLength = Math.min(known?.sequenceLength ?? 4096, config.maxPositionEmbeddings);
  const cost = trainingCost(config, { tokens, sequenceLength });
  const rows: TrainingRow[] = [{ name: titleOf(view), tokens, cost, isThis: true }];
  for (const name of ['deepseek-v3', 'kimi-k2', 'moonlight-16b-a3b', 'deepseek-v2-lite'] as const) {
    // The model itself is there already, as it was published.
    if (known !== null && name === view.preset && tokens === known.tokens) continue;
    const run = publishedTraining(name)!;
    rows.push({ name, tokens: run.tokens, cost: trainingCost(preset(name), run), isThis: false });
  }
  rows.sort((a, b) => b.cost.gpuHours - a.cost.gpuHours);
  const tokensFrom = view.tokens !== null ? 'chosen' : known !== null ? 'published' : 'rule';
  return { tokens, tokensFrom, sequenceLength, cost, published: known, rows };
}
