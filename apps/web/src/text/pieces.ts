/** Tokens in sentences: as one can see them, with their spaces. */

import { percent } from '../ui/numbers.ts';
import type { Alternative, TextToken, TokenPiece } from '../worker/model-api.ts';

/** A token in quotes, with what cannot be seen made visible. */
export function quoted(token: TokenPiece | TextToken): string {
  const text = 'name' in token ? token.name : token.text;
  return text === '' ? `token ${token.id}` : `“${visible(text)}”`;
}

/** A token's text with its spaces and line ends made visible. */
export function visible(text: string): string {
  return spoken(text).replaceAll('\n', '↵').replaceAll('\t', '⇥').replace(/^ | $/g, '␣');
}

/** DeepSeek's marks, such as `<｜begin▁of▁sentence｜>`, in signs that every font has: `‹begin of sentence›`. */
function spoken(text: string): string {
  return text.replace(/^<｜(.+)｜>$/, (_, name: string) => `‹${name.replaceAll('▁', ' ')}›`);
}

/** What one sees of a token in the text; within a character that is not complete there is only a mark. */
export function shownText({ text, name, logprob }: TextToken): string {
  if (text !== '') return spoken(text);
  return logprob === null || name.startsWith('‹') ? '·' : visible(name);
}

const ORDINALS = ['most likely', 'second most likely', 'third most likely', 'fourth most likely', 'fifth most likely'];

/** How likely a token was, in a sentence, beside what was likelier. */
export function likelihood(token: TextToken): string {
  if (token.logprob === null) return `${quoted(token)} was given in the prompt.`;
  const own = percent(Math.exp(token.logprob));
  const place = token.alternatives.findIndex(({ id }) => id === token.id);
  const [first, second] = token.alternatives as readonly (Alternative | undefined)[];
  const name = quoted(token);
  if (place === 0 && second !== undefined) {
    return `${name} was the most likely token with ${own}; the next, ${quoted(second)}, had ${percent(Math.exp(second.logprob))}.`;
  }
  const rank =
    place === -1 ? `not among the ${token.alternatives.length} most likely tokens` : `the ${ORDINALS[place]}`;
  if (first === undefined) return `${name} had ${own}.`;
  return `${name} was ${rank} with ${own}; the first, ${quoted(first)}, had ${percent(Math.exp(first.logprob))}.`;
}
