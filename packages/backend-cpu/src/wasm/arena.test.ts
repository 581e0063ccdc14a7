/** The allocator: alignment, re-use, growth, exhaustion, and no two blocks in one place. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { Arena } from './arena.ts';
import { KernelEngine } from './engine.ts';
import { KernelModule } from './kernel-module.ts';

describe.each([true, false])('arena, shared: %s', (shared) => {
  let kernels: KernelModule;
  beforeAll(async () => {
    kernels = await KernelModule.load({ shared });
  });

  it('never hands out a place twice, and gives all of it back', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(300_000), fc.nat(20)), { maxLength: 80 }), (steps) => {
        const arena = new Arena(kernels, 0, 64 * 2 ** 20);
        const before = arena.usedBytes;
        const live: { at: number; bytes: number; mark: number }[] = [];
        steps.forEach(([bytes, victim], mark) => {
          const at = arena.alloc(bytes);
          expect(at % 64).toBe(0);
          expect(at + bytes).toBeLessThanOrEqual(arena.byteLength);
          arena.u8.fill(mark, at, at + bytes);
          live.push({ at, bytes, mark });
          if (victim < live.length) {
            const [gone] = live.splice(victim, 1);
            arena.free(gone!.at);
          }
        });
        for (const { at, bytes, mark } of live) {
          expect(arena.bytes(at, bytes).every((v) => v === mark)).toBe(true);
          arena.free(at);
        }
        expect(arena.usedBytes).toBe(before);
        // All in one piece again.
        const size = arena.byteLength - before - 8192;
        const length = arena.byteLength;
        arena.free(arena.alloc(size));
        expect(arena.byteLength).toBe(length);
      }),
      { numRuns: 30 },
    );
  });

  it('does not grow when the same sizes come and go', () => {
    const arena = new Arena(kernels);
    const once = () => {
      const blocks = [1000, 70_000, 3, 2_000_000, 1000].map((n) => arena.alloc(n));
      for (const at of blocks) arena.free(at);
    };
    once();
    const length = arena.byteLength;
    for (let i = 0; i < 1000; i++) once();
    expect(arena.byteLength).toBe(length);
  });

  it('keeps what is written when it grows', () => {
    const arena = new Arena(kernels);
    const at = arena.alloc(1024);
    arena.floats(at, 256).fill(7);
    const length = arena.byteLength;
    const large = arena.alloc(64 * 2 ** 20);
    expect(arena.byteLength).toBeGreaterThan(length);
    arena.u8[large + 64 * 2 ** 20 - 1] = 1;
    expect(arena.floats(at, 256).every((v) => v === 7)).toBe(true);
  });

  it('says when it is full, and goes on working', () => {
    const arena = new Arena(kernels, 0, 8 * 2 ** 20);
    expect(() => arena.alloc(16 * 2 ** 20)).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY' }));
    expect(arena.tryAlloc(16 * 2 ** 20)).toBeUndefined();
    arena.free(arena.alloc(4 * 2 ** 20));
    expect(arena.alloc(4 * 2 ** 20)).toBeGreaterThan(0);
  });

  it('refuses a block that is not one', () => {
    const arena = new Arena(kernels);
    const at = arena.alloc(10);
    arena.free(at);
    for (const bad of [at, at + 64, 1.5]) {
      expect(() => arena.free(bad)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    }
    for (const bad of [-1, 1.5, Number.NaN]) {
      expect(() => arena.alloc(bad)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    }
  });
});

it('spreads weights over several memories', async () => {
  const engine = await KernelEngine.create({ maximumBytes: 64 * 2 ** 20, threads: 2 });
  const blocks = Array.from({ length: 10 }, () => engine.allocWeights(12 * 2 ** 20));
  expect(engine.arenas.length).toBeGreaterThan(2);
  expect(new Set(blocks.map((block) => `${block.arena.index}:${block.at}`)).size).toBe(10);
  expect(() => engine.allocWeights(2 ** 30)).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY' }));
  await engine.dispose();
});
