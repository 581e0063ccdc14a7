/** Threads: that they help, that they are not needed, that they let the process end, and that a trap is an error. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { matmulDense } from './dense.ts';
import { KernelEngine } from './engine.ts';
import { KERNEL } from './job.ts';
import { normal, product, put, startEngine, take } from './test-kit.ts';

describe('thread pool', () => {
  it('gives the same bits with any number of threads, also more than cores, in one arena or another', async () => {
    const [T, N, K] = [3, 300, 500];
    const x = normal(T * K, 1);
    const w = normal(N * K, 2);
    let first: Float32Array | undefined;
    for (const threads of [1, 2, 3, 9]) {
      const engine = await startEngine({ threads, maximumBytes: 64 * 2 ** 20 });
      const blocks = [
        engine.allocWeights(40 * 2 ** 20),
        engine.allocWeights(40 * 2 ** 20),
        engine.allocWeights(40 * 2 ** 20),
      ];
      for (const { arena } of blocks) {
        const y = arena.alloc(T * N * 4);
        const job = engine.job(arena);
        const matrix = { format: 'f32', at: put(arena, w), rows: N, cols: K } as const;
        const from = put(arena, x);
        for (let i = 0; i < 200; i++) {
          matmulDense(job, { x: from, w: matrix, y, tokens: T });
          job.run();
        }
        const got = take(arena, y, T * N);
        first ??= got;
        expect(got).toEqual(first);
      }
      await engine.dispose();
    }
    const want = product(x, w, T, N, K);
    expect(Math.max(...want.y.map((v, i) => Math.abs(v - first![i]!)))).toBeLessThan(1e-3);
  });

  it('really runs on other threads', async () => {
    const engine = await startEngine({ threads: 2 });
    const a = engine.arena;
    const units = 64;
    const out = a.alloc(units * 4);
    const bytes = 1 << 20;
    const at = a.alloc(units * bytes);
    // The owner's own scratch memory is never touched by the helper and the other way round: the helper's shows its work.
    const [N, K] = [4096, 512];
    const w = { format: 'bf16', at, rows: N, cols: K } as const;
    const x = put(a, normal(K, 3));
    const y = a.alloc(N * 4);
    const before = a.u8.slice();
    for (let i = 0; i < 2000; i++) {
      matmulDense(engine.job(), { x, w, y, tokens: 1 });
      engine.job().run();
    }
    engine.job().segment(KERNEL.readAll, units, 1e5).word(at).word(bytes).word(out);
    engine.job().run();
    const size = engine.kernels.scratchBytes;
    const changed = (from: number) => a.u8.subarray(from, from + size).some((v, i) => v !== before[from + i]);
    expect(changed(a.scratch)).toBe(true);
    // Its block was the second one to be handed out, after the job's.
    const helper = [...Array(Math.floor((x - size) / 64)).keys()]
      .map((i) => i * 64)
      .find((p) => p > a.scratch + size && changed(p));
    expect(helper).toBeDefined();
    await engine.dispose();
  });

  it('works before the threads are up and after they are gone', async () => {
    const engine = await KernelEngine.create({ threads: 4 });
    const a = engine.arena;
    const [N, K] = [500, 64];
    const w = { format: 'f32', at: put(a, new Float32Array(N * K).fill(1)), rows: N, cols: K } as const;
    const x = put(a, new Float32Array(K).fill(1));
    const y = a.alloc(N * 4);
    const check = () => {
      a.floats(y, N).fill(0);
      matmulDense(engine.job(), { x, w, y, tokens: 1 });
      engine.job().run();
      expect(take(a, y, N).every((v) => v === K)).toBe(true);
    };
    check();
    await engine.pool.ready;
    check();
    await engine.dispose();
    check();
    await engine.dispose();
  });

  it.each([1, 2])('turns a trap into an error and goes on (%i threads)', async (threads) => {
    const engine = await startEngine({ threads });
    const a = engine.arena;
    const outside = 2 ** 32 - 65536;
    for (let i = 0; i < 20; i++) {
      const out = a.alloc(64 * 4);
      engine.job().segment(KERNEL.readAll, 64, 1e6).word(outside).word(1024).word(out);
      expect(() => engine.job().run()).toThrow(expect.objectContaining({ code: 'BACKEND_FAILED' }));
      const at = put(a, new Int32Array(64 * 16).fill(1));
      engine.job().segment(KERNEL.readAll, 64, 1e6).word(at).word(64).word(out);
      engine.job().run();
      expect([...a.i32.subarray(out / 4, out / 4 + 64)]).toEqual(Array(64).fill(16));
    }
    await engine.dispose();
  });

  it('refuses thread counts that make no sense', async () => {
    for (const threads of [0, -1, 1.5, Number.NaN]) {
      await expect(KernelEngine.create({ threads })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    await expect(KernelEngine.create({ threads: 2, shared: false })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('lets the process end by itself', async () => {
    const engine = new URL('./engine.ts', import.meta.url).href;
    const script = `
      const { KernelEngine } = await import(${JSON.stringify(engine)});
      const engine = await KernelEngine.create({ threads: 3 });
      if (process.argv[1] === 'ready') await engine.pool.ready;
      engine.job().run();
      console.log('done');`;
    for (const when of ['at once', 'ready']) {
      const args = ['--conditions=@mariana/source', '--no-warnings', '--input-type=module', '-e', script, when];
      const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
      expect(stdout).toBe('done\n');
    }
  }, 60_000);
});
