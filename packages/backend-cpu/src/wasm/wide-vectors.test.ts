import { afterEach, describe, expect, it, vi } from 'vitest';
import { gemm } from './dense.ts';
import { canWiden, normal, put, startEngine, take } from './test-kit.ts';
import { enableWideVectors } from './wide-vectors.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

describe('256-bit vectors', () => {
  it.each([
    ['an older Node', { arch: 'x64', execArgv: [], env: {}, versions: { node: '22.1.0' } }],
    ['another processor', { arch: 'arm64', execArgv: [], env: {}, versions: { node: '24.1.0' } }],
    ['a page', undefined],
  ])('are refused on %s', (_, host) => {
    vi.stubGlobal('process', host);
    expect(() => enableWideVectors()).toThrow(expect.objectContaining({ code: 'BACKEND_UNAVAILABLE' }));
  });

  it.runIf(canWiden())('change no bit of a product', async () => {
    const [m, n, k] = [133, 75, 300];
    const results: Float32Array[] = [];
    for (const wideVectors of [false, true]) {
      const engine = await startEngine({ build: 'relaxed', wideVectors });
      expect(engine.arena.wide).toBe(wideVectors);
      const { arena } = engine;
      const c = arena.alloc(m * n * 4);
      // Often enough for the engine to compile the kernel for good.
      for (let round = 0; round < 200; round++) {
        gemm(engine.job(), {
          a: put(arena, normal(m * k, 1)),
          b: put(arena, normal(n * k, 2)),
          c,
          m,
          n,
          k,
          transposeB: true,
        });
        engine.job().run();
      }
      results.push(take(arena, c, m * n));
      await engine.dispose();
    }
    expect(results[1]).toEqual(results[0]);
  });
});
