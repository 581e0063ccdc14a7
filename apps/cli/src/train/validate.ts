/** How well a model in training predicts text that it does not learn from. */
import type { PackedData, TokenStream, TrainableModel } from '@mariana/train';
import { evaluate } from '@mariana/train';

/**
 * Cross-entropy on the same sequences each time, as many as `evalSequences` at most, chosen by the seed of the data.
 *
 * @returns Mean cross-entropy in nats over tokens, those between documents included, and bits for each byte of text:
 *   that mean, over ln 2, times the tokens and over the bytes of the whole validation text.
 */
export async function validate(
  model: TrainableModel,
  { data, stream }: { readonly data: PackedData; readonly stream: TokenStream },
  { batch, evalSequences }: { readonly batch: number; readonly evalSequences: number },
): Promise<{ crossEntropy: number; bitsPerByte: number }> {
  const sequences = Math.min(evalSequences, data.sequences);
  const whole = Math.floor(sequences / batch);
  const batches = [
    ...Array.from({ length: whole }, (_, i) => data.batch(i, batch)),
    ...Array.from({ length: sequences - whole * batch }, (_, i) => data.batch(whole * batch + i, 1)),
  ];
  const crossEntropy = await evaluate(model, batches);
  return { crossEntropy, bitsPerByte: ((crossEntropy / Math.LN2) * stream.tokens.length) / stream.bytes };
}
