import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StopMatcher } from './stop-matcher.ts';

/** Feeds pieces until a stop is met; what was shown, and whether it was met. */
function feed(stops: readonly string[], pieces: readonly string[]): { shown: string[]; stopped: boolean } {
  const matcher = new StopMatcher(stops);
  const shown: string[] = [];
  for (const piece of pieces) {
    const { text, stopped } = matcher.push(piece);
    shown.push(text);
    if (stopped) return { shown, stopped };
  }
  shown.push(matcher.flush());
  return { shown, stopped: false };
}

test('text that may begin a stop is held back until that is clear', () => {
  expect(feed(['END'], ['a', 'bE', 'N', 'x', 'y'])).toEqual({ shown: ['a', 'b', '', 'ENx', 'y', ''], stopped: false });
  expect(feed(['END'], ['a E', 'N', 'D and more'])).toEqual({ shown: ['a ', '', ''], stopped: true });
  expect(feed(['END'], ['EN'])).toEqual({ shown: ['', 'EN'], stopped: false });
});

test('of several stops the one that is complete first counts, and of those the longest', () => {
  expect(feed(['cd', 'bcx'], ['abcx', 'd']).shown).toEqual(['a']);
  expect(feed(['bc', 'abcd'], ['abcd']).shown).toEqual(['a']);
  expect(feed(['bc', 'abc'], ['abcd']).shown).toEqual(['']);
});

test('any cutting into pieces shows the same: the text up to the stop that is complete first', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c') });
  const stop = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(letters), fc.array(stop, { maxLength: 3 }), (pieces, stops) => {
      const text = pieces.join('');
      let shownLength = text.length;
      for (let end = 1; end <= text.length && shownLength === text.length; end++) {
        const complete = stops.filter((stop) => text.slice(0, end).endsWith(stop));
        if (complete.length > 0) shownLength = end - Math.max(...complete.map((stop) => stop.length));
      }
      const { shown, stopped } = feed(stops, pieces);
      expect(shown.join('')).toBe(text.slice(0, shownLength));
      expect(stopped).toBe(stops.some((stop) => text.includes(stop)));
    }),
    { numRuns: 1000 },
  );
});
