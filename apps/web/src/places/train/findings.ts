/** The sentences above the pictures of a run. */
import { number, percent, times } from '../../ui/numbers.ts';
import type { RunFacts, StepMetrics } from '../../worker/train-protocol.ts';
import { fullest, RECENT_STEPS } from './loads.ts';

/** Steps that a loss is averaged over: single ones jump with their batch. */
const SMOOTH = 10;

/** How much higher than its lowest the held-out loss must be to say so, in nats. */
const RISEN = 0.02;

const loss = (value: number): string => value.toFixed(2);

/** Mean loss of the last steps, or of the steps up to `end`. */
function smoothLoss(metrics: readonly StepMetrics[], end = metrics.length): number {
  const part = metrics.slice(Math.max(0, end - SMOOTH), end);
  return part.reduce((sum, line) => sum + line.loss, 0) / part.length;
}

export function lossFinding(metrics: readonly StepMetrics[], { vocabSize }: Pick<RunFacts, 'vocabSize'>): string {
  const [first, last] = [metrics[0], metrics.at(-1)];
  if (first === undefined || last === undefined) return 'The loss of each step will be drawn here.';
  const now = smoothLoss(metrics);
  const choices = `as unsure as between ${number(Number(Math.exp(now).toPrecision(3)))} of its ${number(vocabSize)} tokens`;
  if (metrics.length === 1) return `The first step's loss is ${loss(now)} nats a token: the model is ${choices}.`;
  const verb = now < first.loss ? 'fell' : 'rose';
  const head = `In ${number(last.step)} steps the loss ${verb} from ${loss(first.loss)} to ${loss(now)} nats a token: the model is ${choices}.`;
  return `${head}${heldOutFinding(metrics, now)}`;
}

/** What text that it does not learn from says. */
function heldOutFinding(metrics: readonly StepMetrics[], now: number): string {
  const measured = metrics.filter((line) => line.heldOut !== undefined);
  const last = measured.at(-1);
  if (last === undefined) return '';
  const lowest = measured.reduce((best, line) => (line.heldOut! < best.heldOut! ? line : best));
  if (last.heldOut! - lowest.heldOut! > RISEN) {
    return (
      ` On text that it does not learn from it was best at step ${number(lowest.step)} (${loss(lowest.heldOut!)}); ` +
      `now it is at ${loss(last.heldOut!)}, so it has begun to learn by heart.`
    );
  }
  const apart = last.heldOut! - now;
  const compared = Math.abs(apart) < 0.005 ? 'the same' : `${loss(Math.abs(apart))} ${apart > 0 ? 'higher' : 'lower'}`;
  return ` On text that it does not learn from the loss is ${loss(last.heldOut!)}, ${compared}.`;
}

export function loadFinding(metrics: readonly StepMetrics[], facts: RunFacts): string {
  const recent = metrics.slice(-RECENT_STEPS);
  const now = fullest(recent, facts);
  if (now === null) return 'How many tokens go to each expert will be drawn here.';
  const even = 1 / facts.experts;
  const span = recent.length === 1 ? 'In the last step' : `In the last ${recent.length} steps`;
  const head =
    `${span} layer ${now.layer} sent ${percent(now.share)} of its tokens' choices to expert ${now.expert}; ` +
    `even would be ${percent(even)}.`;
  const worst = worstSpan(metrics, facts);
  if (worst === null || worst.share <= now.share) return head;
  return (
    `${head} At its most uneven, in steps ${number(worst.from)} to ${number(worst.to)}, one expert took ` +
    `${percent(worst.share)}, ${times(worst.share / even)} its even part.`
  );
}

/** Of all spans of `RECENT_STEPS` steps before the last one, that with the fullest expert. */
function worstSpan(metrics: readonly StepMetrics[], facts: RunFacts) {
  let worst: { readonly from: number; readonly to: number; readonly share: number } | null = null;
  for (let from = 0; from + 2 * RECENT_STEPS <= metrics.length; from += RECENT_STEPS) {
    const span = metrics.slice(from, from + RECENT_STEPS);
    const share = fullest(span, facts)?.share ?? 0;
    if (worst === null || share > worst.share) worst = { from: span[0]!.step, to: span.at(-1)!.step, share };
  }
  return worst;
}

/** Loss and held-out loss for a picture of at most so many points: means over equal numbers of steps. */
export function lossPoints(metrics: readonly StepMetrics[], most = 300): { step: number; loss: number }[] {
  const size = Math.max(1, Math.ceil(metrics.length / most));
  const points: { step: number; loss: number }[] = [];
  for (let from = 0; from < metrics.length; from += size) {
    const part = metrics.slice(from, from + size);
    points.push({
      step: part.reduce((sum, line) => sum + line.step, 0) / part.length,
      loss: part.reduce((sum, line) => sum + line.loss, 0) / part.length,
    });
  }
  return points;
}
