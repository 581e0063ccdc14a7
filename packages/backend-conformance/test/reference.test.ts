/** The suite on the executable specification. Its formulas are not the reference's, so this tests both. */
import { conformance } from '@mariana/backend-conformance';
import { reference } from '@mariana/backend-reference';
import { afterAll, describe, it } from 'vitest';

conformance({ name: 'reference', create: () => reference() }, { describe, it, afterAll });
