/** Default body of `candidates`: the row is read and ranked on the host. */
import { MarianaError } from '../../errors.ts';
import type { Backend } from '../backend.ts';
import type { TokenCandidates } from '../operations.ts';
import { checkDtype } from '../shapes.ts';
import type { Tensor } from '../tensor.ts';

/** The most candidates that can be asked for: as many as devices sort at once. */
export const MOST_CANDIDATES = 1024;

/** @throws MarianaError `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `INVALID_ARGUMENT` */
export function checkCandidates(logits: Tensor, k: number, temperature: number): void {
  checkDtype('candidates', logits, 'f32');
  const width = logits.shape.at(-1) ?? 0;
  if (width === 0 || width !== logits.size) {
    throw new MarianaError('SHAPE_MISMATCH', `candidates: takes one row of logits, not a ${logits}`);
  }
  const most = Math.min(width, MOST_CANDIDATES);
  if (!Number.isInteger(k) || k < 1 || k > most) {
    throw new MarianaError('INVALID_ARGUMENT', `candidates: k is ${k}; it must be a whole number from 1 to ${most}`);
  }
  if (temperature > 0 && temperature < Number.POSITIVE_INFINITY) return;
  throw new MarianaError('INVALID_ARGUMENT', `candidates: temperature is ${temperature}; it must be above 0`);
}

export async function candidates(
  backend: Backend,
  logits: Tensor,
  k: number,
  temperature: number,
): Promise<TokenCandidates> {
  checkCandidates(logits, k, temperature);
  const row = (await backend.read(logits)) as Float32Array;
  const ids = Int32Array.from(row.keys()).sort((a, b) => {
    const [left, right] = [rank(row[a]!), rank(row[b]!)];
    return left === right ? a - b : right > left ? 1 : -1;
  });
  const best = row[ids[0]!]!;
  const logSum = (temperature: number) => {
    if (!Number.isFinite(best)) return Number.NaN;
    const sum = row.reduce((total, logit) => total + Math.exp((logit - best) / temperature), 0);
    return best / temperature + Math.log(sum);
  };
  return {
    ids: ids.slice(0, k),
    logits: Float32Array.from(ids.subarray(0, k), (id) => row[id]!),
    logSumExp: logSum(1),
    scaledLogSumExp: logSum(temperature),
  };
}

/** NaN goes before everything, so that nobody overlooks it. */
function rank(logit: number): number {
  if (Number.isNaN(logit)) return Number.POSITIVE_INFINITY;
  return logit === Number.POSITIVE_INFINITY ? Number.MAX_VALUE : logit;
}
