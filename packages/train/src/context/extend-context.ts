/**
 * Context extension: the second phase of training, in which a model made for short sequences learns long ones. YaRN
 * frequencies and the softmax factor come into force together, at the first step, and stay for good; the length of a
 * phase (32K, then 128K) changes neither.
 *
 * Source: DeepSeek-V3 report, section 4.3; YaRN paper (arXiv 2309.00071).
 */
import { MarianaError, type ModelConfig } from '@mariana/core';

export interface ExtendContextOptions {
  /** Longest sequence of the coming phase, in tokens. */
  readonly maxPositionEmbeddings: number;
  /**
   * YaRN's factor s; 40 for DeepSeek-V3, in both phases. It is not maxPositionEmbeddings divided by the old length, which
   * would make the lower frequencies five times too high in V3's first phase. Default 40.
   */
  readonly factor?: number;
  /** Default 32. */
  readonly betaFast?: number;
  /** Default 1. */
  readonly betaSlow?: number;
  /** Default 1. */
  readonly mscale?: number;
  /** Default: `mscale`, so that cos and sin are not scaled. */
  readonly mscaleAllDim?: number;
}

/**
 * The config of a model whose context is being extended; load its weights with it and train on. A config that has YaRN
 * already keeps it, and only gets longer.
 *
 * @throws MarianaError `INVALID_ARGUMENT` if the length does not grow, if the factor cannot reach it, or if it differs
 *   from the YaRN settings that the model was already trained with.
 */
export function extendContext(config: ModelConfig, options: ExtendContextOptions): ModelConfig {
  const { maxPositionEmbeddings } = options;
  if (!Number.isInteger(maxPositionEmbeddings) || maxPositionEmbeddings <= config.maxPositionEmbeddings) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `extendContext: ${maxPositionEmbeddings} tokens is not longer than the ${config.maxPositionEmbeddings} of the config`,
    );
  }
  const have = config.ropeScaling;
  const { factor = have?.factor ?? 40, mscale = have?.mscale ?? 1 } = options;
  const scaling = {
    type: 'yarn',
    factor,
    originalMaxPositionEmbeddings: have?.originalMaxPositionEmbeddings ?? config.maxPositionEmbeddings,
    betaFast: options.betaFast ?? have?.betaFast ?? 32,
    betaSlow: options.betaSlow ?? have?.betaSlow ?? 1,
    mscale,
    mscaleAllDim: options.mscaleAllDim ?? have?.mscaleAllDim ?? mscale,
  } as const;
  if (have !== null && JSON.stringify({ ...have, ...scaling }) !== JSON.stringify(have)) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      'extendContext: this model has YaRN settings already, and they must stay as they are; leave them out',
    );
  }
  if (factor * scaling.originalMaxPositionEmbeddings < maxPositionEmbeddings) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `extendContext: a factor of ${factor} takes ${scaling.originalMaxPositionEmbeddings} tokens to ` +
        `${factor * scaling.originalMaxPositionEmbeddings}, not to ${maxPositionEmbeddings}`,
    );
  }
  return { ...config, maxPositionEmbeddings, ropeScaling: scaling };
}
