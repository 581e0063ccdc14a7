/** The sentences say what the numbers are. */
import { describe, expect, test } from 'vitest';
import type { TextToken, TokenRouting } from '../../worker/model-api.ts';
import {
  attentionFinding,
  cacheFinding,
  choices,
  draftFates,
  draftFinding,
  entropyFinding,
  entropyLines,
  expertLoad,
  keptFinding,
  largestShare,
  loadFinding,
  type Routes,
  tokenFinding,
} from './statistics.ts';

/** Two layers, four experts, two for each token: expert 0 of layer 1 is always chosen, with three quarters. */
const seen: TokenRouting[] = [0, 1, 2].map((position) => ({
  position,
  experts: Uint16Array.of(0, position + 1, position, (position + 1) % 4),
  weights: Float32Array.of(1.5, 0.5, 1, 1),
  entropy: Float32Array.of(1, 1.5),
}));
const routes: Routes = { layers: [1, 2], experts: 4, k: 2, seen };

function token(position: number, name: string, change: Partial<TextToken> = {}): TextToken {
  return { id: position + 10, text: name, name, position, logprob: -1, alternatives: [], draft: null, ...change };
}

describe('experts', () => {
  test('the load of each layer sums to the experts of a token', () => {
    for (const row of expertLoad(routes)) expect(row.reduce((sum, share) => sum + share, 0)).toBeCloseTo(2);
    expect([...expertLoad(routes)[0]!]).toEqual([1, 1 / 3, 1 / 3, 1 / 3]);
  });

  test('what stands out is said, with what would be even', () => {
    expect(loadFinding(routes)).toBe(
      'Layer 1 sent 100 % of this text to expert 0; even would be 50.0 %; no expert was left out.',
    );
    expect(tokenFinding(routes, seen[1]!, token(1, ' dragon'))).toBe(
      'For “␣dragon” layer 1 was most decided: 75.0 % of its weight went to expert 0; 50.0 % each would be even among the 2 chosen.',
    );
    expect(entropyFinding(routes)).toBe(
      'The router of layer 1 is surest, with 1 bits of doubt a token; that of layer 2 least, with 1.50; the most there can ' +
        'be are 2 bits, when all 4 experts score the same.',
    );
  });

  test('a scale of shares ends at the next tenth above the largest', () => {
    expect(largestShare(routes)).toBe(0.8);
    expect(largestShare({ ...routes, seen: [] })).toBe(0.1);
  });

  test('a line of doubt has so many points at most, means of the tokens between them', () => {
    expect(entropyLines(routes, 3).lines.map((line) => line.length)).toEqual([3, 3]);
    const { lines, each } = entropyLines(routes, 2);
    expect(each).toBe(2);
    expect(lines).toEqual([
      [
        [1.5, 1],
        [3, 1],
      ],
      [
        [1.5, 1.5],
        [3, 1.5],
      ],
    ]);
  });

  test('choices come largest first and sum to one', () => {
    expect(choices(routes, seen[2]!, 0)).toEqual([
      { expert: 0, share: 0.75 },
      { expert: 3, share: 0.25 },
    ]);
  });
});

test('the cache is reckoned beside plain attention', () => {
  expect(cacheFinding({ latent: 70_272, plain: 4_997_120 }, 1000)).toBe(
    '1000 tokens take 70.3 MB of cache, 70.3 kB each; plain attention 5.00 GB, 71.1 times as much.',
  );
});

test('attention is told from token to token', () => {
  const tokens = [token(0, 'The'), token(1, ' cat'), token(2, ' sat')];
  const attention = { layer: 3, position: 2, weights: Float32Array.of(0.2, 0.2, 0.6, 0.5, 0.25, 0.25) };
  expect(attentionFinding(attention, 1, tokens)).toBe(
    'From “␣sat”, head 1 of layer 3 looks most at “The”, 2 tokens before it: 50.0 % of its attention; even would be 33.3 %.',
  );
  expect(attentionFinding(attention, 0, tokens)).toContain('looks most at itself: 60.0 %');
});

test('it is said how far back attention is kept', () => {
  expect(keptFinding({ from: 0, bytes: 2 ** 20, most: 2 ** 24 }, 300)).toMatch(/takes 1\.00 MiB here.*over 16\.0 MiB/);
  expect(keptFinding({ from: 3840, bytes: 2 ** 23, most: 2 ** 24 }, 4096)).toContain(
    'of tokens 3,841 to 4,096, 8.00 MiB',
  );
});

test('drafts are counted as right, wrong or not made', () => {
  const tokens = [
    token(0, 'a', { logprob: null }),
    token(1, 'b', { draft: { id: 11, text: 'b' } }),
    token(2, 'c'),
    token(3, 'd', { draft: { id: 99, text: 'x' } }),
  ];
  const fates = draftFates(tokens);
  expect(fates).toEqual(['given', 'right', 'none', 'wrong']);
  expect(draftFinding(fates)).toBe('Of 2 drafts 1 were right, 50.0 %: 3 tokens in 2 steps of the model, 1.50 a step.');
  expect(draftFinding(['given'])).toBe('No token has been drafted yet.');
});
