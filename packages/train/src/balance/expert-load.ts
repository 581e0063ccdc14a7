/**
 * Load of the experts, and the bias that evens it out without a loss: experts that got too many tokens lose a little of
 * their score in the choice, the others gain.
 *
 * Loads are integers and are compared as integers; in float32, a mean load times the number of experts gave wrong signs
 * in one case of four (9 experts). The bias is no parameter of the optimizer: it has no gradient, no decay and no part in
 * the gradient norm.
 *
 * Source: DeepSeek-V3 report, section 2.1.2; "Auxiliary-Loss-Free Load Balancing" (arXiv 2408.15664).
 */
import { MarianaError } from '@mariana/core';

/**
 * How often each expert was chosen.
 *
 * @param indices - Chosen experts of any number of tokens, flattened: `Routing.indices`, read to the host.
 * @param experts - Number of experts.
 * @returns Int32Array [experts].
 * @throws MarianaError `INVALID_ARGUMENT` for an index that is no expert.
 */
export function expertLoad(indices: ArrayLike<number>, experts: number): Int32Array {
  const load = new Int32Array(experts);
  for (let i = 0; i < indices.length; i++) {
    const expert = indices[i]!;
    if (!Number.isInteger(expert) || expert < 0 || expert >= experts) {
      throw new MarianaError('INVALID_ARGUMENT', `expertLoad: there is no expert ${expert} among ${experts}`);
    }
    load[expert]!++;
  }
  return load;
}

/**
 * The bias after a step: `bias[i] + rate * sign(mean load - load[i])`, in float32. An expert with exactly the mean load
 * keeps its bias.
 *
 * @param bias - `e_score_correction_bias`, F32 [experts]; it is left as it is.
 * @param load - Choices of each expert over the whole batch, under the bias before the update.
 * @param rate - gamma: 0.001 in DeepSeek-V3's own training.
 * @throws MarianaError `SHAPE_MISMATCH`.
 */
export function updateBias(bias: Float32Array, load: ArrayLike<number>, rate: number): Float32Array {
  if (bias.length !== load.length) {
    throw new MarianaError('SHAPE_MISMATCH', `updateBias: ${bias.length} biases do not fit ${load.length} loads`);
  }
  const step = Math.fround(rate);
  const sum = total(load);
  return bias.map((value, i) => value + Math.sign(sum - bias.length * load[i]!) * step);
}

/**
 * How far the busiest expert is above the mean: (max load - mean load) / mean load. 0 is perfect balance, `experts - 1`
 * means that one expert got everything. 0 where there was no load at all.
 */
export function maxViolation(load: ArrayLike<number>): number {
  const sum = total(load);
  if (sum === 0) return 0;
  let max = 0;
  for (let i = 0; i < load.length; i++) max = Math.max(max, load[i]!);
  return (max * load.length - sum) / sum;
}

function total(load: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < load.length; i++) sum += load[i]!;
  return sum;
}
