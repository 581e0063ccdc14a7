/** Every case of the suite, in the order in which a backend is best built. */
import type { CaseDefinition } from '../conformance-case.ts';
import { adamwCases } from './adamw.ts';
import { attentionCases } from './attention.ts';
import { binaryCases } from './binary.ts';
import { candidateCases } from './candidates.ts';
import { castCases } from './cast.ts';
import { elementaryCases } from './elementary.ts';
import { expertCases } from './experts.ts';
import { gradientCases } from './gradients.ts';
import { lifetimeCases } from './lifetimes.ts';
import { linearCases } from './linear.ts';
import { matmulCases } from './matmul.ts';
import { matmulGroupCases } from './matmul-groups.ts';
import { movementCases } from './movement.ts';
import { muonCases } from './muon.ts';
import { quantizeActivationCases } from './quantize-activations.ts';
import { reduceCases } from './reduce.ts';
import { refusalCases } from './refusals.ts';
import { routeCases } from './route.ts';
import { rowCases } from './rows.ts';
import { storageCases } from './storage.ts';
import { unaryCases } from './unary.ts';
import { weightCases } from './weights.ts';

export const allCases: readonly CaseDefinition[] = [
  ...storageCases,
  ...unaryCases,
  ...binaryCases,
  ...reduceCases,
  ...matmulCases,
  ...rowCases,
  ...movementCases,
  ...castCases,
  ...lifetimeCases,
  ...refusalCases,
  ...elementaryCases,
  ...routeCases,
  ...attentionCases,
  ...candidateCases,
  ...quantizeActivationCases,
  ...weightCases,
  ...linearCases,
  ...expertCases,
  ...matmulGroupCases,
  ...adamwCases,
  ...muonCases,
  ...gradientCases,
];
