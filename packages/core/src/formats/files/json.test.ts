import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isMarianaError } from '../../errors.ts';
import { parseJson } from './json.ts';

const corrupt = (message: RegExp) =>
  expect.objectContaining({ code: 'CHECKPOINT_CORRUPT', message: expect.stringMatching(message) });

describe('parseJson', () => {
  it('gives what JSON.parse gives', () => {
    fc.assert(
      fc.property(fc.json(), fc.boolean(), (text, uniqueKeys) => {
        expect(parseJson(text, 'x', { uniqueKeys })).toEqual(JSON.parse(text));
      }),
    );
  });

  it('refuses what JSON.parse refuses, and nothing else', () => {
    const almostJson = fc
      .tuple(
        fc.json(),
        fc.array(fc.tuple(fc.nat(), fc.constantFrom(...'{}[]",:\\0-+1.eEtn u\u0001\n')), { maxLength: 3 }),
      )
      .map(([text, changes]) =>
        changes.reduce((changed, [at, char]) => {
          const place = at % (changed.length + 1);
          return changed.slice(0, place) + char + changed.slice(place + (at % 2));
        }, text),
      );
    fc.assert(
      fc.property(almostJson, (text) => {
        let expected: unknown;
        let isJson = true;
        try {
          expected = JSON.parse(text);
        } catch {
          isJson = false;
        }
        if (isJson) expect(parseJson(text, 'x')).toEqual(expected);
        else expect(() => parseJson(text, 'x')).toThrow(corrupt(/^x: not JSON: .* at line \d+, column \d+$/));
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    ['', 'it ends at line 1, column 1'],
    ['{"a": 1,\n "b": x}', '"x}" is out of place at line 2, column 7'],
    ['{"a": 1\n', 'it ends at line 2, column 1'],
    ['[1, 2,]', '"]" is out of place at line 1, column 7'],
    ['{"a": 01}', '"1}" is out of place at line 1, column 8'],
    ['{"a\u0001": 1}', 'out of place at line 1, column 4'],
    ['{} {}', '"{}" is out of place at line 1, column 4'],
    ["{'a': 1}", 'out of place at line 1, column 2'],
    ['"abc', 'it ends at line 1, column 5'],
  ])('says where %j is broken', (text, message) => {
    expect(() => parseJson(text, 'config.json')).toThrow(
      expect.objectContaining({ message: expect.stringContaining(message) }),
    );
  });

  it('finds keys given twice in one object, however they are written, if asked', () => {
    const twice = '{"a": {"x": 1}, "b": {"x": 2, "\\u0078": 3}}';
    expect(() => parseJson(twice, 'x', { uniqueKeys: true })).toThrow(
      corrupt(/"x" is given for the second time at line 1/),
    );
    expect(parseJson(twice, 'x')).toEqual({ a: { x: 1 }, b: { x: 3 } });
    expect(parseJson('{"a": {"x": 1}, "x": [{"x": 1}, {"x": 1}]}', 'x', { uniqueKeys: true })).toBeTypeOf('object');
    expect(() => parseJson('{"__proto__": 1, "__proto__": 2}', 'x', { uniqueKeys: true })).toThrow(
      corrupt(/__proto__/),
    );
  });

  it('refuses bottomless nesting without walking down it', () => {
    for (const bracket of ['[', '{"a":']) {
      expect(() => parseJson(bracket.repeat(1_000_000), 'x')).toThrow(corrupt(/nested more than 256 deep/));
    }
    expect(parseJson('['.repeat(256) + ']'.repeat(256), 'x')).toBeTypeOf('object');
  });

  it('keeps its messages short', () => {
    const long = 'a'.repeat(100_000);
    for (const text of [`{"${long}": 1, "${long}": 2}`, `${long}`, `["${long}`]) {
      try {
        parseJson(text, 'x', { uniqueKeys: true });
        expect.unreachable();
      } catch (error) {
        expect(isMarianaError(error)).toBe(true);
        expect((error as Error).message.length).toBeLessThan(300);
      }
    }
  });
});
