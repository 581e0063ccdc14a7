/** Caches by random edits: forks, cuts and appends must leave each sequence what a plain list of rows would be. */
import { reference } from '@mariana/backend-reference';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LatentCache } from './latent-cache.ts';
import { PagePool } from './page-pool.ts';

const WIDTH = 3;
const LAYERS = 2;

function setUp(maxTokens = 1000, pageSize = 4) {
  const backend = reference();
  const pool = new PagePool({ backend, layers: LAYERS, width: WIDTH, maxTokens, pageSize });
  return { backend, pool };
}

/** Appends rows whose every number is `value + row`, to all layers. */
function append({ backend }: ReturnType<typeof setUp>, cache: LatentCache, value: number, count: number) {
  const data = Float32Array.from({ length: count * WIDTH }, (_, i) => value + Math.floor(i / WIDTH));
  using rows = backend.upload(data, [count, WIDTH]);
  for (let layer = 0; layer < LAYERS; layer++) cache.layer(layer).append(rows);
  cache.advance(count);
}

/** The first number of each row that a layer holds, in order. */
async function contents({ backend, pool }: ReturnType<typeof setUp>, cache: LatentCache, layer: number) {
  using none = backend.upload(new Float32Array(0), [0, WIDTH]);
  const { pages, pageSize, length } = cache.layer(layer).append(none);
  const rows = await pool.rows(layer).floats();
  return Array.from({ length }, (_, token) => {
    const row = pages[Math.floor(token / pageSize)]! * pageSize + (token % pageSize);
    return rows[row * WIDTH]!;
  });
}

const edits = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('append' as const), at: fc.nat(3), count: fc.integer({ min: 0, max: 9 }) }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat(3), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ kind: fc.constant('fork' as const), at: fc.nat(3) }),
    fc.record({ kind: fc.constant('dispose' as const), at: fc.nat(3) }),
  ),
  { maxLength: 25 },
);

describe('LatentCache', () => {
  test('any edits of any forks give what plain lists would, and all pages come back', async () => {
    await fc.assert(
      fc.asyncProperty(edits, async (changes) => {
        const world = setUp();
        let open = [{ cache: new LatentCache(world.pool), rows: [] as number[] }];
        let next = 1;
        for (const change of changes) {
          const one = open[change.at % open.length]!;
          if (change.kind === 'append') {
            append(world, one.cache, next, change.count);
            for (let i = 0; i < change.count; i++) one.rows.push(next + i);
            next += change.count;
          } else if (change.kind === 'cut') {
            one.rows.length = Math.floor(change.share * one.rows.length);
            one.cache.truncate(one.rows.length);
          } else if (change.kind === 'fork') {
            open.push({ cache: one.cache.fork(), rows: one.rows.slice() });
          } else if (open.length > 1) {
            one.cache.dispose();
            open = open.filter((other) => other !== one);
          }
        }
        for (const { cache, rows } of open) {
          expect(cache.length).toBe(rows.length);
          for (let layer = 0; layer < LAYERS; layer++) expect(await contents(world, cache, layer)).toEqual(rows);
        }
        for (const { cache } of open) cache.dispose();
        expect(world.pool.freePages * 4 * LAYERS * WIDTH * 4).toBe(world.pool.byteLength);
        world.pool.dispose();
        expect(world.backend.memory().tensors).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  test('a fork shares all but what either writes', () => {
    const world = setUp();
    const cache = new LatentCache(world.pool);
    append(world, cache, 1, 10); // three pages, the last half full
    const free = world.pool.freePages;
    const fork = cache.fork();
    expect(world.pool.freePages).toBe(free);
    append(world, fork, 100, 1);
    expect(world.pool.freePages).toBe(free - 1);
  });

  test('a full pool refuses, and leaves the sequence as it was', async () => {
    const world = setUp(8);
    const cache = new LatentCache(world.pool);
    append(world, cache, 1, 6);
    expect(() => append(world, cache, 100, 3)).toThrow(expect.objectContaining({ code: 'CONTEXT_EXCEEDED' }));
    expect(await contents(world, cache, 0)).toEqual([1, 2, 3, 4, 5, 6]);
    append(world, cache, 7, 2);
    expect(cache.length).toBe(8);
  });

  test.each([-1, 1.5, 4, Number.NaN])('cutting 3 tokens to %d is refused', (length) => {
    const world = setUp();
    const cache = new LatentCache(world.pool);
    append(world, cache, 1, 3);
    expect(() => cache.truncate(length)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(cache.length).toBe(3);
  });

  test('after dispose nothing can be written', () => {
    const world = setUp();
    const cache = new LatentCache(world.pool);
    cache.dispose();
    cache.dispose();
    expect(() => append(world, cache, 1, 1)).toThrow(expect.objectContaining({ code: 'TENSOR_DISPOSED' }));
  });

  test('rows kept in BF16 are rounded to it', async () => {
    const backend = reference();
    const pool = new PagePool({ backend, layers: 1, width: 1, maxTokens: 8, dtype: 'bf16' });
    const cache = new LatentCache(pool);
    using rows = backend.upload(Float32Array.of(1.00390625, 3), [2, 1]);
    cache.layer(0).append(rows);
    using kept = backend.cast(pool.rows(0), 'f32');
    expect([...(await kept.floats()).subarray(0, 2)]).toEqual([1, 3]);
    expect(pool.byteLength).toBe(64 * 2);
  });
});
