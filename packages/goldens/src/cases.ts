/**
 * The golden folders as tests: whatever a folder has expected values for is checked. Each case loads its model on the
 * backend it is given, compares, and leaves nothing behind.
 */
import type { Backend } from '@mariana/core';
import { LatentCache } from '@mariana/layers';
import { cacheCases } from './cases/cache.ts';
import { fp8Cases } from './cases/fp8.ts';
import { intermediateCases } from './cases/intermediates.ts';
import { mtpCases } from './cases/mtp.ts';
import { rotaryCases } from './cases/rotary.ts';
import { FOLDERS, type GoldenCheck, poolFor } from './check.ts';
import { argmax, expectClose, expectEqual, expectFar } from './compare.ts';
import { Golden, type OpenFixture } from './golden.ts';

/** One test. */
export interface GoldenCase {
  readonly folder: string;
  readonly name: string;
  /** @throws Error saying what differs. */
  run(backend: Backend): Promise<void>;
}

const logitsCases: GoldenCheck[] = [
  {
    name: 'logits at every position',
    folders: FOLDERS,
    async check({ golden, model, backend }) {
      for (const prompt of golden.prompts) {
        using output = await model.forward(await golden.integers(`${prompt}.input_ids`));
        const logits = (await backend.read(output.logits!)) as Float32Array;
        expectClose(`${prompt}.logits`, logits, await golden.floats(`${prompt}.logits`));
      }
    },
  },
  {
    name: 'groups that are not chosen are masked with minus infinity, not with zero',
    folders: ['tiny-negbias'],
    async check({ golden, model, backend }) {
      using output = await model.forward(await golden.integers('p0.input_ids'));
      const logits = (await backend.read(output.logits!)) as Float32Array;
      expectFar('p0.logits', logits, await golden.floats('p0.logits_zero_mask'));
    },
  },
  {
    name: '16 greedy tokens by cached decoding, and the logits they were taken from',
    folders: FOLDERS.filter((folder) => folder !== 'tiny-negbias' && folder !== 'tiny-yarn-mscale'),
    async check({ golden, model, backend }) {
      const { vocabSize } = golden.config;
      for (const prompt of golden.prompts) {
        const expected = await golden.integers(`${prompt}.greedy_tokens`);
        const expectedLogits = await golden.floats(`${prompt}.greedy_logits`);
        using pool = poolFor(model, 256);
        using cache = new LatentCache(pool);
        let ids: ArrayLike<number> = await golden.integers(`${prompt}.input_ids`);
        const tokens: number[] = [];
        for (let i = 0; i < expected.length; i++) {
          using output = await model.forward(ids, { cache, logits: 'last' });
          const logits = (await backend.read(output.logits!)) as Float32Array;
          const row = expectedLogits.subarray(i * vocabSize, (i + 1) * vocabSize);
          expectClose(`${prompt}.greedy_logits, token ${i}`, logits, row);
          tokens.push(argmax(logits, 0, vocabSize));
          ids = [tokens[i]!];
        }
        expectEqual(`${prompt}.greedy_tokens`, tokens, expected);
      }
    },
  },
];

/** All cases, over fixtures that `open` finds. */
export function goldenCases(open: OpenFixture): GoldenCase[] {
  const checks = [...logitsCases, ...cacheCases, ...intermediateCases, ...rotaryCases, ...fp8Cases, ...mtpCases];
  return checks.flatMap((check) =>
    check.folders.map((folder) => ({ folder, name: check.name, run: (backend) => run(check, folder, open, backend) })),
  );
}

async function run(check: GoldenCheck, folder: string, open: OpenFixture, backend: Backend): Promise<void> {
  const golden = await Golden.open(folder, open);
  const before = backend.memory().tensors;
  try {
    const model = await golden.load(backend);
    try {
      await check.check({ golden, model, backend });
    } finally {
      model.dispose();
    }
  } finally {
    await golden.close();
  }
  const leaked = backend.memory().tensors - before;
  if (leaked !== 0) throw new Error(`${folder}, ${check.name}: ${leaked} tensors were left behind`);
}
