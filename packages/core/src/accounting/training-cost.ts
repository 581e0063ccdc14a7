/**
 * What training costs, in hours of an accelerator: operations over the rate at which they are done. The rate is what
 * nobody can count from a config, so it is taken from the one run whose hours were published: DeepSeek-V3's.
 */
import type { ModelConfig } from '../config/model-config.ts';
import { type PresetName, preset } from '../config/presets.ts';
import { MarianaError } from '../errors.ts';
import { trainingFlopsPerToken } from './flops.ts';

/** Peak of an H800 (and H100 SXM) in dense BF16 products, in operations a second, as its maker states it. */
export const H800_PEAK_FLOPS = 989.4e12;

/** What its authors published of the training of a model. */
export interface PublishedTraining {
  /** Tokens of pre-training. */
  readonly tokens: number;
  /** Tokens of a sequence in pre-training. */
  readonly sequenceLength: number;
  /** H800 hours; null where the authors gave none. */
  readonly gpuHours: {
    readonly preTraining: number;
    readonly contextExtension: number;
    readonly postTraining: number;
    readonly total: number;
  } | null;
  /** The paper that says so. */
  readonly source: string;
}

const PUBLISHED: Partial<Record<PresetName, PublishedTraining>> = {
  'deepseek-v3': {
    tokens: 14.8e12,
    sequenceLength: 4096,
    gpuHours: { preTraining: 2_664_000, contextExtension: 119_000, postTraining: 5_000, total: 2_788_000 },
    source: 'DeepSeek-V3 Technical Report (arXiv 2412.19437), table 1',
  },
  'deepseek-v2-lite': {
    tokens: 5.7e12,
    sequenceLength: 4096,
    gpuHours: null,
    source: 'DeepSeek-V2 (arXiv 2405.04434), appendix B',
  },
  'moonlight-16b-a3b': {
    tokens: 5.7e12,
    sequenceLength: 8192,
    gpuHours: null,
    source: 'Muon is Scalable for LLM Training (arXiv 2502.16982)',
  },
  'kimi-k2': {
    tokens: 15.5e12,
    sequenceLength: 4096,
    gpuHours: null,
    source: 'Kimi K2 (arXiv 2507.20534)',
  },
};

/** What was published of the training of a preset, or null. */
export function publishedTraining(name: PresetName): PublishedTraining | null {
  return PUBLISHED[name] ?? null;
}

/**
 * Share of the H800's BF16 peak that DeepSeek-V3's pre-training reached: its operations over its hours at the peak.
 * About 0.41. (The run was in FP8, whose peak is twice as high; the BF16 peak is the usual yardstick.)
 */
export function publishedUtilization(): number {
  const { tokens, sequenceLength, gpuHours } = PUBLISHED['deepseek-v3']!;
  const flops = tokens * trainingFlopsPerToken(preset('deepseek-v3'), { sequenceLength });
  return flops / (gpuHours!.preTraining * 3600 * H800_PEAK_FLOPS);
}

/** Options of `trainingCost`. */
export interface TrainingCostOptions {
  /** Tokens to train on, above 0. */
  tokens: number;
  /** Tokens of a sequence. Default 4096. */
  sequenceLength?: number;
  /** Peak of one accelerator, in operations a second. Default `H800_PEAK_FLOPS`. */
  peakFlops?: number;
  /** Share of the peak that is reached, above 0 and up to 1. Default `publishedUtilization()`. */
  utilization?: number;
}

/** What a training run costs. */
export interface TrainingCost {
  /** Operations for one token, forward and backward. */
  readonly flopsPerToken: number;
  /** Operations of the run. */
  readonly flops: number;
  /** Hours of one accelerator. */
  readonly gpuHours: number;
  /** Share of the peak that was reckoned with. */
  readonly utilization: number;
}

/**
 * hours = tokens x operations a token / (peak x utilization x 3600), with the operations of `trainingFlopsPerToken`:
 * recomputed activations are not counted, and with the default utilization they need not be, since the published run
 * recomputed them in hours that are counted.
 *
 * @throws MarianaError `INVALID_ARGUMENT` for tokens, a peak or a utilization that are no such numbers, and for a
 *   sequence length that is not a whole number from 1 up.
 */
export function trainingCost(config: ModelConfig, options: TrainingCostOptions): TrainingCost {
  const { tokens, sequenceLength = 4096, peakFlops = H800_PEAK_FLOPS } = options;
  const utilization = options.utilization ?? publishedUtilization();
  for (const [name, value, most] of [
    ['tokens', tokens, Number.MAX_VALUE],
    ['peakFlops', peakFlops, Number.MAX_VALUE],
    ['utilization', utilization, 1],
  ] as const) {
    if (value > 0 && value <= most) continue;
    const range = most === 1 ? 'above 0 and up to 1' : 'above 0';
    throw new MarianaError('INVALID_ARGUMENT', `${name} of a training run is ${value}: use a number ${range}`);
  }
  const flopsPerToken = trainingFlopsPerToken(config, { sequenceLength });
  const flops = tokens * flopsPerToken;
  return { flopsPerToken, flops, gpuHours: flops / (peakFlops * utilization * 3600), utilization };
}
