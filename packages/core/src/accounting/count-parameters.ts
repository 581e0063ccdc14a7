/**
 * How many numbers a model consists of, by component, in total and for one token. Counted from the same templates as
 * the tensors of a checkpoint.
 */
import type { ModelConfig } from '../config/model-config.ts';
import { isMoeLayer } from '../config/semantics.ts';
import {
  expertTemplates,
  layerTemplates,
  mtpInputTemplates,
  mtpOutputTemplates,
  type TensorTemplate,
} from './tensor-templates.ts';

/** Parameters of attention, over all layers of the main model. */
export interface AttentionParameters {
  /** `q_proj`; 0 in models with a low-rank query. */
  readonly qProj: number;
  readonly qAProj: number;
  readonly qBProj: number;
  readonly kvAProj: number;
  readonly kvBProj: number;
  readonly oProj: number;
  /** All of the above; the two norms inside attention are counted under `norms`. */
  readonly total: number;
}

/** Parameters of the multi-token-prediction layers, which are not part of the main model's total. */
export interface MtpParameters {
  /** Their decoder layers: attention, feed-forward with all its experts, router, norms. */
  readonly layer: number;
  /** The projections that join embedding and hidden state. */
  readonly ehProj: number;
  /** `enorm`, `hnorm` and `shared_head.norm`. */
  readonly norms: number;
  /** What these layers have for themselves: all of the above. */
  readonly own: number;
  /** Copies of the main model's embedding and head that a checkpoint stores with each of them. */
  readonly sharedCopies: number;
  /** `own` that one token visits: all but the experts not chosen. */
  readonly active: number;
}

/** Parameters by component. */
export interface ParameterCount {
  readonly embedding: number;
  /** Output head; 0 where it is the embedding itself. */
  readonly head: number;
  readonly attention: AttentionParameters;
  /** Feed-forwards of the dense layers. */
  readonly denseMlp: number;
  readonly routedExperts: number;
  readonly sharedExperts: number;
  /** Router weights and correction biases. */
  readonly router: number;
  /** All norms: of layers, inside attention, and the final one. */
  readonly norms: number;
  /** The main model: everything above. */
  readonly total: number;
  /**
   * Main-model parameters that take part in computing one token: `total` less the routed experts that are not chosen
   * and less the embedding table, of which one row is looked up (unless the table is also the head). Published
   * "activated" figures differ by what they do with the embedding; DeepSeek-V3's 37 B, V2-Lite's 2.4 B and Kimi-K2's
   * 32 B are this count, rounded.
   */
  readonly active: number;
  /** Null in a model without multi-token prediction. */
  readonly mtp: MtpParameters | null;
}

type Counts = Map<string, number>;

/** Counts the parameters of a model of this config. */
export function countParameters(config: ModelConfig): ParameterCount {
  const embedding = config.vocabSize * config.hiddenSize;
  const counts: Counts = new Map();
  for (let layer = 0; layer < config.numHiddenLayers; layer++) countLayer(config, layer, counts);
  add(counts, 'norm', config.hiddenSize);

  const head = config.tieWordEmbeddings ? 0 : embedding;
  const of = (kind: string): number => counts.get(kind) ?? 0;
  const attention = {
    qProj: of('q_proj'),
    qAProj: of('q_a_proj'),
    qBProj: of('q_b_proj'),
    kvAProj: of('kv_a_proj'),
    kvBProj: of('kv_b_proj'),
    oProj: of('o_proj'),
  };
  const total = embedding + head + sum(counts.values());
  return {
    embedding,
    head,
    attention: { ...attention, total: sum(Object.values(attention)) },
    denseMlp: of('dense_mlp'),
    routedExperts: of('routed_expert'),
    sharedExperts: of('shared_experts'),
    router: of('router') + of('router_bias'),
    norms: of('norm'),
    total,
    active: total - idleExperts(config, of('routed_expert')) - (config.tieWordEmbeddings ? 0 : embedding),
    mtp: config.numNextnPredictLayers > 0 ? countMtp(config) : null,
  };
}

function countMtp(config: ModelConfig): MtpParameters {
  const counts: Counts = new Map();
  for (let index = 0; index < config.numNextnPredictLayers; index++) {
    countLayer(config, config.numHiddenLayers + index, counts);
  }
  const layer = sum(counts.values());
  const extra: Counts = new Map();
  addTemplates(extra, [...mtpInputTemplates(config), ...mtpOutputTemplates(config)], config.numNextnPredictLayers);
  const ehProj = extra.get('eh_proj')!;
  const norms = extra.get('norm')!;
  const own = layer + ehProj + norms;
  return {
    layer,
    ehProj,
    norms,
    own,
    sharedCopies: extra.get('embedding')! + extra.get('head')!,
    active: own - idleExperts(config, counts.get('routed_expert') ?? 0),
  };
}

/** Of so many parameters of routed experts, those that one token does not visit. */
function idleExperts(config: ModelConfig, parameters: number): number {
  if (parameters === 0) return 0;
  return (parameters / config.nRoutedExperts) * (config.nRoutedExperts - config.numExpertsPerTok);
}

function countLayer(config: ModelConfig, layer: number, counts: Counts): void {
  addTemplates(counts, layerTemplates(config, layer), 1);
  if (isMoeLayer(config, layer)) addTemplates(counts, expertTemplates(config), config.nRoutedExperts);
}

function addTemplates(counts: Counts, templates: readonly TensorTemplate[], copies: number): void {
  for (const { kind, shape } of templates) {
    add(counts, kind, copies * shape.reduce((product, size) => product * size, 1));
  }
}

function add(counts: Counts, kind: string, amount: number): void {
  counts.set(kind, (counts.get(kind) ?? 0) + amount);
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
