/** Memory is bounded whatever the text, and what is kept is whole. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AttentionRows } from './attention-rows.ts';

const row = (position: number, heads = 2) => ({
  layer: 0,
  position,
  weights: new Float32Array(heads * (position + 1)).fill(position),
});

const positions = (rows: AttentionRows) => Array.from(rows.values(), ({ position }) => position);

describe('rows of attention', () => {
  test('of a short text are all kept', () => {
    const rows = new AttentionRows(1000);
    for (let position = 0; position < 20; position++) rows.add(row(position));
    expect(positions(rows)).toHaveLength(20);
    expect(rows.first).toBe(0);
    expect(rows.at(7)?.weights).toEqual(new Float32Array(16).fill(7));
  });

  test('of a long text are the newest, without gaps, and as many as there is room for', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 300 }), (most, tokens) => {
        const rows = new AttentionRows(most);
        for (let position = 0; position < tokens; position++) {
          rows.add(row(position));
          const kept = positions(rows);
          expect(kept).toEqual(Array.from({ length: kept.length }, (_, i) => position + 1 - kept.length + i));
          expect(kept[0]).toBe(rows.first);
          if (kept.length > 1) expect(rows.weights).toBeLessThanOrEqual(most);
        }
      }),
      { numRuns: 30 },
    );
  });

  test('are replaced where the text is, and forgotten where it was cut', () => {
    const rows = new AttentionRows(1000);
    for (let position = 0; position < 5; position++) rows.add(row(position));
    const other = { ...row(4), layer: 3 };
    rows.add(other);
    expect(rows.at(4)).toBe(other);
    expect(rows.weights).toBe(2 * (1 + 2 + 3 + 4 + 5));
    rows.truncate(2);
    expect(positions(rows)).toEqual([0, 1]);
    expect(rows.weights).toBe(2 * (1 + 2));
  });

  test('that were forgotten do not come back, until the text begins anew', () => {
    const rows = new AttentionRows(20);
    for (let position = 0; position < 9; position++) rows.add(row(position));
    expect(rows.first).toBeGreaterThan(0);
    rows.add(row(0));
    expect(rows.at(0)).toBeUndefined();
    rows.clear();
    expect(rows.first).toBe(0);
    rows.add(row(0));
    expect(positions(rows)).toEqual([0]);
  });
});
