/** Every case of the suite, in the order in which a backend is best built. */
import type { CaseDefinition } from '../conformance-case.ts';
import { binaryCases } from './binary.ts';
import { storageCases } from './storage.ts';
import { unaryCases } from './unary.ts';

export const allCases: readonly CaseDefinition[] = [...storageCases, ...unaryCases, ...binaryCases];
