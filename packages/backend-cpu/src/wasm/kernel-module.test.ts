/** The compiled kernels: that the committed ones are made from these sources, and that each build is what it says. */
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { compile, sourceHash } from '../../scripts/build-kernels.ts';
import { KERNELS, SOURCE_HASH } from './generated/kernels.ts';
import { KernelModule } from './kernel-module.ts';

const unpack = (base64: string) => gunzipSync(Buffer.from(base64, 'base64'));

describe('the committed kernels', () => {
  it('are made from the present sources (else run `pnpm kernels`)', () => {
    expect(SOURCE_HASH).toBe(sourceHash());
  });

  it('are what the compiler makes', () => {
    expect(compile('simd').equals(unpack(KERNELS.simd))).toBe(true);
  }, 300_000);
});

describe('kernel module', () => {
  it('takes the best build, or the one asked for', async () => {
    expect((await KernelModule.load()).build).toBe('relaxed');
    for (const build of ['relaxed', 'simd', 'scalar'] as const) {
      for (const shared of [true, false])
        expect(await KernelModule.load({ build, shared })).toMatchObject({ build, shared });
    }
  });

  it('finds out about the relaxed dot product, and says no without one', async () => {
    const found = (await KernelModule.load({ build: 'relaxed' })).relaxedDot;
    expect(['unsigned', 'signed', 'none']).toContain(found);
    expect((await KernelModule.load({ build: 'simd' })).relaxedDot).toBe('none');
    expect((await KernelModule.load({ build: 'scalar' })).relaxedDot).toBe('none');
  });

  it('says what is missing', async () => {
    const keep = globalThis.SharedArrayBuffer;
    try {
      Reflect.deleteProperty(globalThis, 'SharedArrayBuffer');
      expect((await KernelModule.load()).shared).toBe(false);
      await expect(KernelModule.load({ shared: true })).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    } finally {
      globalThis.SharedArrayBuffer = keep;
    }
  });
});
