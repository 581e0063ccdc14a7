/** The wrapper keeps every promise of the contract, with parameters among the operands or without. */
import { conformance } from '@mariana/backend-conformance';
import { reference } from '@mariana/backend-reference';
import { afterAll, describe, it } from 'vitest';
import { autodiff } from '../src/index.ts';

conformance({ name: 'autodiff over reference', create: () => autodiff(reference()) }, { describe, it, afterAll });
