/** A backend that is wrong on purpose, in one way: the suite must notice, or it would not notice the real ones. */
import type { Backend } from '@mariana/core';

export interface Mutant {
  /** What is wrong with it. */
  readonly wrong: string;
  readonly create: () => Backend;
  /** The group of cases that must fail. */
  readonly caughtBy: string;
}
