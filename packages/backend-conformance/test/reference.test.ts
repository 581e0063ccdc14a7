/** The suite on the executable specification: its formulas are independent of the reference's, so this tests both. */
import { reference } from '@mariana/backend-reference';
import { afterAll, describe, it } from 'vitest';
import { conformance } from '../src/index.ts';

conformance({ name: 'reference', create: reference }, { describe, it, afterAll });
