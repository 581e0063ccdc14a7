import { cpu } from '@mariana/backend-cpu';
import { afterAll, describe, test } from 'vitest';
import { goldenCases } from '../src/index.ts';
import { openFixture } from '../src/node.ts';

for (const threads of [1, 2]) {
  describe(`goldens on the cpu backend, threads: ${threads}`, async () => {
    const backend = await cpu({ threads });
    afterAll(() => backend.dispose());
    for (const { folder, name, run } of goldenCases(openFixture)) {
      test(`${folder}: ${name}`, () => run(backend));
    }
  });
}
