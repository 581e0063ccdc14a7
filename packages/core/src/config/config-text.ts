/**
 * A config.json as text. JSON has one kind of number, but Hugging Face's libraries read `1` as a whole number and refuse
 * it where the field is a real one; `JSON.stringify` writes 1.0 that way.
 */
import type { JsonObject } from './model-config.ts';

/** Fields of the family that transformers (from 5 on) takes as `float` alone. */
const REAL = /^( {2}"(?:routed_scaling_factor|rms_norm_eps|initializer_range|aux_loss_alpha)": -?\d+)(?=,?$)/gm;

/** The text of a config.json for `json`, with a decimal point in every field that is a real number to others. */
export function configText(json: JsonObject): string {
  return `${JSON.stringify(json, null, 2).replace(REAL, '$1.0')}\n`;
}
