/** What was seen inside the network, as numbers and as the sentences that say what they show. */

import type { KeptAttention } from '../../state/observed.ts';
import { quoted } from '../../text/pieces.ts';
import { bytes, memory, number, percent, times } from '../../ui/numbers.ts';
import type { TextToken, TokenAttention, TokenRouting } from '../../worker/model-api.ts';

/** Routing of a text: `k` of `experts` for each token and MoE layer. */
export interface Routes {
  /** Numbers of the MoE layers. */
  readonly layers: readonly number[];
  readonly experts: number;
  readonly k: number;
  /** By position; tokens that were not seen are left out. */
  readonly seen: readonly TokenRouting[];
}

/** Shares of a token's weight that one layer sends to its experts: k pairs, largest first. */
export function choices(
  routes: Routes,
  routing: TokenRouting,
  layerIndex: number,
): { expert: number; share: number }[] {
  const { k } = routes;
  const at = layerIndex * k;
  const weights = Array.from(routing.weights.subarray(at, at + k));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights
    .map((weight, i) => ({ expert: routing.experts[at + i]!, share: sum === 0 ? 0 : weight / sum }))
    .sort((a, b) => b.share - a.share);
}

/** The largest share of a token's weight that any expert got, up to the next tenth: where a scale of shares ends. */
export function largestShare({ layers, k, seen }: Routes): number {
  let most = 0;
  for (const { weights } of seen) {
    for (const index of layers.keys()) {
      const own = weights.subarray(index * k, (index + 1) * k);
      const sum = own.reduce((total, weight) => total + weight, 0);
      for (const weight of own) most = Math.max(most, weight / sum);
    }
  }
  return Math.min(1, Math.max(0.1, Math.ceil(most * 10 - 1e-6) / 10));
}

/** For each MoE layer the share of tokens that went to each expert. Rows sum to k. */
export function expertLoad({ layers, experts, k, seen }: Routes): Float64Array[] {
  return layers.map((_, index) => {
    const load = new Float64Array(experts);
    for (const { experts: chosen } of seen) for (let i = 0; i < k; i++) load[chosen[index * k + i]!]! += 1;
    return load.map((count) => (seen.length === 0 ? 0 : count / seen.length));
  });
}

export function loadFinding(routes: Routes): string {
  const load = expertLoad(routes);
  let [layer, expert, most] = [0, 0, -1];
  for (const [index, row] of load.entries()) {
    for (const [candidate, share] of row.entries()) if (share > most) [layer, expert, most] = [index, candidate, share];
  }
  const idle = load.reduce((sum, row) => sum + row.filter((share) => share === 0).length, 0);
  const even = percent(routes.k / routes.experts);
  const rest =
    idle === 0 ? 'no expert was left out' : `${idle} of ${load.length * routes.experts} experts got none of it`;
  return `Layer ${routes.layers[layer]} sent ${percent(most)} of this text to expert ${expert}; even would be ${even}; ${rest}.`;
}

export function tokenFinding(routes: Routes, routing: TokenRouting, token: TextToken): string {
  let [layer, best] = [0, { expert: 0, share: -1 }];
  for (const index of routes.layers.keys()) {
    const [first] = choices(routes, routing, index);
    if (first !== undefined && first.share > best.share) [layer, best] = [index, first];
  }
  const name = quoted(token);
  return (
    `For ${name} layer ${routes.layers[layer]} was most decided: ${percent(best.share)} of its weight went to expert ` +
    `${best.expert}; ${percent(1 / routes.k)} each would be even among the ${routes.k} chosen.`
  );
}

/** Mean entropy of the router's scores in each MoE layer, in bits. */
export function meanEntropy({ layers, seen }: Routes): number[] {
  return layers.map(
    (_, index) => seen.reduce((sum, { entropy }) => sum + entropy[index]!, 0) / Math.max(1, seen.length),
  );
}

/** A point of a line: the number of a token, or of the middle of some, and a value. */
export type Point = readonly [token: number, value: number];

/** Entropy by token, a line for each layer, as means over `each` tokens, so that a line has no more than `most` points. */
export function entropyLines({ layers, seen }: Routes, most: number): { lines: Point[][]; each: number } {
  const each = Math.max(1, Math.ceil(seen.length / most));
  const lines: Point[][] = layers.map(() => []);
  for (let from = 0; from < seen.length; from += each) {
    const group = seen.slice(from, from + each);
    const mean = (of: (one: TokenRouting) => number) => group.reduce((sum, one) => sum + of(one), 0) / group.length;
    const token = mean((one) => one.position + 1);
    for (const [index, line] of lines.entries()) line.push([token, mean(({ entropy }) => entropy[index]!)]);
  }
  return { lines, each };
}

export function entropyFinding(routes: Routes): string {
  const means = meanEntropy(routes);
  const most = means.indexOf(Math.max(...means));
  const least = means.indexOf(Math.min(...means));
  const limit = `${number(Math.log2(routes.experts))} bits, when all ${routes.experts} experts score the same`;
  if (most === least)
    return `The router of layer ${routes.layers[0]} has ${number(means[0]!)} bits of doubt; at most ${limit}.`;
  return (
    `The router of layer ${routes.layers[least]} is surest, with ${number(means[least]!)} bits of doubt a token; that of ` +
    `layer ${routes.layers[most]} least, with ${number(means[most]!)}; the most there can be are ${limit}.`
  );
}

/** Bytes of cache that a token takes, as it is and as plain attention would. */
export interface CacheCost {
  readonly latent: number;
  readonly plain: number;
}

export function cacheFinding({ latent, plain }: CacheCost, tokens: number): string {
  const text = tokens === 1 ? '1 token takes' : `${tokens} tokens take`;
  return (
    `${text} ${bytes(tokens * latent)} of cache, ${bytes(latent)} each; plain attention ${bytes(tokens * plain)}, ` +
    `${times(plain / latent)} as much.`
  );
}

/** What a head takes of each token up to and with `position`. */
export function attentionRow({ position, weights }: TokenAttention, head: number): Float32Array {
  return weights.subarray(head * (position + 1), (head + 1) * (position + 1));
}

export function attentionFinding(attention: TokenAttention, head: number, tokens: readonly TextToken[]): string {
  const row = attentionRow(attention, head);
  let best = 0;
  for (const [position, weight] of row.entries()) if (weight > row[best]!) best = position;
  const [from, to] = [tokens[attention.position], tokens[best]];
  if (from === undefined || to === undefined) return '';
  const back = attention.position - best;
  const where =
    back === 0 ? 'itself' : `${quoted(to)}, ${back === 1 ? 'the token before it' : `${back} tokens before it`}`;
  return (
    `From ${quoted(from)}, head ${head} of layer ${attention.layer} looks most at ${where}: ${percent(row[best]!)} of its ` +
    `attention; even would be ${percent(1 / row.length)}.`
  );
}

/** How far back attention is kept, and why no further. */
export function keptFinding({ from, bytes: kept, most }: KeptAttention, tokens: number): string {
  if (from === 0) {
    return `Attention of this layer takes ${memory(kept)} here. It grows with the square of the text; over ${memory(most)} the oldest tokens' is let go.`;
  }
  return (
    `Attention is kept of tokens ${number(from + 1)} to ${number(tokens)}, ${memory(kept)}: it grows with the square of the ` +
    `text, so that over ${memory(most)} the oldest tokens' is let go.`
  );
}

export type DraftFate = 'right' | 'wrong' | 'none' | 'given';

export function draftFates(tokens: readonly TextToken[]): DraftFate[] {
  return tokens.map(({ id, draft, logprob }) => {
    if (logprob === null) return 'given';
    return draft === null ? 'none' : draft.id === id ? 'right' : 'wrong';
  });
}

export function draftFinding(fates: readonly DraftFate[]): string {
  const of = (fate: DraftFate) => fates.filter((one) => one === fate).length;
  const [right, wrong] = [of('right'), of('wrong')];
  const made = right + wrong + of('none');
  if (right + wrong === 0) return 'No token has been drafted yet.';
  const passes = made - right;
  return (
    `Of ${right + wrong} drafts ${right} were right, ${percent(right / (right + wrong))}: ${made} tokens in ` +
    `${passes} steps of the model, ${number(made / Math.max(1, passes))} a step.`
  );
}
