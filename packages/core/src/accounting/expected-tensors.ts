/**
 * The tensors that a checkpoint of a config holds, in Hugging Face's layout: every name and shape, one at a time
 * (DeepSeek-V3 has 46 thousand, twice that with the scales of FP8), and the reverse question, what a given name ought
 * to be.
 */
import type { ModelConfig } from '../config/model-config.ts';
import { isMoeLayer, layerCount } from '../config/semantics.ts';
import {
  expertTemplates,
  isQuantizable,
  layerTemplates,
  mtpInputTemplates,
  mtpOutputTemplates,
  type TensorKind,
  type TensorTemplate,
} from './tensor-templates.ts';

/** One tensor that a checkpoint should hold. */
export interface ExpectedTensor {
  /** Full name, for example `model.layers.3.mlp.experts.17.down_proj.weight`. */
  readonly name: string;
  /** [out_features, in_features] of a weight, [features] of a norm or bias. */
  readonly shape: readonly number[];
  readonly kind: TensorKind;
  /** Decoder layer, or null for embedding, final norm and head. */
  readonly layer: number | null;
  /** Routed expert within the layer, or null. */
  readonly expert: number | null;
  /** Whether it may be stored in FP8, INT8 or INT4. */
  readonly quantizable: boolean;
  /** Part of a multi-token-prediction layer, and so optional together with all others of those layers. */
  readonly mtp: boolean;
  /**
   * The tensor that holds the same values, for the embedding and head that a multi-token-prediction layer shares with
   * the main model; a checkpoint may leave such a copy out. Else null.
   */
  readonly sharedWith: string | null;
  /**
   * Name and shape of the FP8 scales that go with it if its dtype is FP8: F32, one per block. Null if not
   * `quantizable`.
   */
  readonly scale: { readonly name: string; readonly shape: readonly [number, number] } | null;
}

const EMBEDDING = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';
const DEFAULT_BLOCK = [128, 128] as const;

/**
 * The checkpoint's tensors in the order of a published file: embedding, layers, final norm, head, then the
 * multi-token-prediction layers. `lm_head.weight` is absent where it is tied to the embedding; scales of FP8 are not
 * listed on their own but as `scale` of their weight.
 */
export function* expectedTensors(config: ModelConfig): Generator<ExpectedTensor, void, undefined> {
  yield tensor(config, '', { suffix: EMBEDDING, shape: [config.vocabSize, config.hiddenSize], kind: 'embedding' });
  for (let layer = 0; layer < config.numHiddenLayers; layer++) yield* layerTensors(config, layer);
  yield tensor(config, '', { suffix: 'model.norm.weight', shape: [config.hiddenSize], kind: 'norm' });
  if (!config.tieWordEmbeddings) {
    yield tensor(config, '', { suffix: HEAD, shape: [config.vocabSize, config.hiddenSize], kind: 'head' });
  }
  for (let layer = config.numHiddenLayers; layer < layerCount(config); layer++) {
    const prefix = `model.layers.${layer}.`;
    for (const template of mtpInputTemplates(config)) yield tensor(config, prefix, template, layer);
    yield* layerTensors(config, layer);
    for (const template of mtpOutputTemplates(config)) yield tensor(config, prefix, template, layer);
  }
}

/**
 * What the tensor called `name` ought to be, or undefined if the config has no place for it. Takes the same time
 * whatever the size of the model. Names of scales are not tensors in this sense: ask for the weight's and look at
 * `scale`.
 */
export function expectedTensor(config: ModelConfig, name: string): ExpectedTensor | undefined {
  const match = /^model\.layers\.(0|[1-9]\d{0,8})\.(.+)$/.exec(name);
  if (!match) {
    const whole: TensorTemplate[] = [
      { suffix: EMBEDDING, shape: [config.vocabSize, config.hiddenSize], kind: 'embedding' },
      { suffix: 'model.norm.weight', shape: [config.hiddenSize], kind: 'norm' },
    ];
    if (!config.tieWordEmbeddings) {
      whole.push({ suffix: HEAD, shape: [config.vocabSize, config.hiddenSize], kind: 'head' });
    }
    const template = whole.find(({ suffix }) => suffix === name);
    return template && tensor(config, '', template);
  }
  const layer = Number(match[1]);
  const rest = match[2]!;
  if (layer >= layerCount(config)) return undefined;
  const prefix = `model.layers.${layer}.`;
  const expertMatch = /^mlp\.experts\.(0|[1-9]\d{0,8})\.(.+)$/.exec(rest);
  if (expertMatch) {
    const expert = Number(expertMatch[1]);
    if (!isMoeLayer(config, layer) || expert >= config.nRoutedExperts) return undefined;
    const template = expertTemplates(config).find(({ suffix }) => suffix === expertMatch[2]);
    return template && tensor(config, `${prefix}mlp.experts.${expert}.`, template, layer, expert);
  }
  const templates = layerTemplates(config, layer);
  if (layer >= config.numHiddenLayers) templates.push(...mtpInputTemplates(config), ...mtpOutputTemplates(config));
  const template = templates.find(({ suffix }) => suffix === rest);
  return template && tensor(config, prefix, template, layer);
}

function* layerTensors(config: ModelConfig, layer: number): Generator<ExpectedTensor, void, undefined> {
  const prefix = `model.layers.${layer}.`;
  const templates = layerTemplates(config, layer);
  const experts = isMoeLayer(config, layer) ? expertTemplates(config) : [];
  for (const template of templates) {
    // Published files have the experts between the router and the shared experts.
    if (template.kind !== 'shared_experts') yield tensor(config, prefix, template, layer);
  }
  for (let expert = 0; experts.length > 0 && expert < config.nRoutedExperts; expert++) {
    for (const template of experts) {
      yield tensor(config, `${prefix}mlp.experts.${expert}.`, template, layer, expert);
    }
  }
  for (const template of templates) {
    if (template.kind === 'shared_experts') yield tensor(config, prefix, template, layer);
  }
}

function tensor(
  config: ModelConfig,
  prefix: string,
  template: TensorTemplate,
  layer: number | null = null,
  expert: number | null = null,
): ExpectedTensor {
  const name = prefix + template.suffix;
  const { kind, shape } = template;
  const mtp = layer !== null && layer >= config.numHiddenLayers;
  const quantizable = isQuantizable(kind);
  const [rows, columns] = config.quantizationConfig?.weightBlockSize ?? DEFAULT_BLOCK;
  let sharedWith: string | null = null;
  if (mtp && kind === 'embedding') sharedWith = EMBEDDING;
  if (mtp && kind === 'head') sharedWith = config.tieWordEmbeddings ? EMBEDDING : HEAD;
  return {
    name,
    shape,
    kind,
    layer,
    expert,
    quantizable,
    mtp,
    sharedWith,
    scale: quantizable
      ? { name: `${name}_scale_inv`, shape: [Math.ceil(shape[0]! / rows), Math.ceil(shape[1]! / columns)] }
      : null,
  };
}
