import { reference } from '@mariana/backend-reference';
import { describe, test } from 'vitest';
import { goldenCases } from '../src/index.ts';
import { openFixture } from '../src/node.ts';

describe('goldens on the reference backend', () => {
  for (const { folder, name, run } of goldenCases(openFixture)) {
    test(`${folder}: ${name}`, () => run(reference()));
  }
});
