/**
 * YaRN's two factors as GGUF files of DeepSeek models hold them.
 *
 * With m(a) = 0.1 a ln(factor) + 1, the original implementations multiply cos and sin by m(mscale) / m(mscale_all_dim)
 * and attention scores by m(mscale_all_dim)^2. llama.cpp has two numbers, a multiplier L (`yarn_log_multiplier`) and a
 * factor A (`attn_factor`), and multiplies cos and sin by A and scores by (A (1 + L ln(factor)))^2 (src/models/deepseek2.cpp
 * and the constructor of `llama_context`). If L is absent or zero, both are multiplied by m(1) besides. So two numbers
 * can be had from the other two, whatever they are; L = 0.1 mscale_all_dim and A = 1 where both mscales are equal, as
 * they are in all published models.
 */

import { yarnMagnitude } from '../../../config/semantics.ts';

/** What a config says. */
export interface Mscales {
  readonly mscale: number;
  readonly mscaleAllDim: number;
}

/** What a file says; undefined for a key that is not there. */
export interface YarnKeys {
  /** `yarn_log_multiplier`. */
  readonly logMultiplier: number | undefined;
  /** `attn_factor`. */
  readonly attentionFactor: number | undefined;
}

/** The mscales of a file. A file without either key came from a config without them: 1 and 0, the class's defaults. */
export function mscalesOf(factor: number, { logMultiplier, attentionFactor }: YarnKeys): Mscales {
  if (!logMultiplier && attentionFactor === undefined) return { mscale: 1, mscaleAllDim: 0 };
  if (logMultiplier && (attentionFactor ?? 1) === 1) {
    const equal = tidy(10 * logMultiplier);
    return { mscale: equal, mscaleAllDim: equal };
  }
  const rotation = (attentionFactor ?? 1) * (logMultiplier ? 1 : yarnMagnitude(factor, 1));
  const all = rotation * (1 + (logMultiplier ?? 0) * Math.log(factor));
  return { mscale: mscaleOf(factor, rotation * all), mscaleAllDim: mscaleOf(factor, all) };
}

/** The keys of a config. */
export function yarnKeysOf(factor: number, { mscale, mscaleAllDim }: Mscales): YarnKeys {
  if (mscale === mscaleAllDim && mscale !== 0) return { logMultiplier: 0.1 * mscaleAllDim, attentionFactor: undefined };
  const all = yarnMagnitude(factor, mscaleAllDim);
  const rotation = yarnMagnitude(factor, mscale) / all;
  const growth = all / rotation - 1;
  // A multiplier of zero would bring in m(1), which is then to be taken out again.
  if (factor <= 1 || Math.abs(growth) < 1e-9) {
    return { logMultiplier: undefined, attentionFactor: rotation / yarnMagnitude(factor, 1) };
  }
  return { logMultiplier: growth / Math.log(factor), attentionFactor: rotation };
}

/** The a with m(a) = `magnitude`. */
function mscaleOf(factor: number, magnitude: number): number {
  return factor <= 1 ? 1 : tidy((magnitude - 1) / (0.1 * Math.log(factor)));
}

/** Without the noise that a number has from having been a float32: six digits. */
function tidy(x: number): number {
  return Math.abs(x) < 1e-5 ? 0 : Number(x.toPrecision(6));
}
