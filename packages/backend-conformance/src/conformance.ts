/**
 * The suite: the contract of `Backend` in `@mariana/core` as cases that anything can run. `conformanceCases` gives them
 * as a list, for a browser page or a script; `conformance` hands them to the `describe` and `it` of a test framework.
 */

import { reference } from '@mariana/backend-reference';
import type { Backend } from '@mariana/core';
import { allCases } from './cases/index.ts';
import { type CaseContext, type CaseDefinition, caseId } from './conformance-case.ts';
import { ConformanceError } from './conformance-error.ts';
import { type Tolerance, toleranceOf } from './tolerance.ts';

/** The backend to test, and how. */
export interface ConformanceOptions {
  /** Heading of the cases. */
  readonly name: string;
  /** Makes the backend. Called once, when the first case runs. */
  readonly create: () => Backend | Promise<Backend>;
  /** Where the backend's arithmetic promises less (or more) than `DEFAULT_TOLERANCE`. */
  readonly tolerance?: Partial<Tolerance>;
  /**
   * Cases that the backend cannot pass, each with the reason. A key is the name of a group (`topK`) or of one case
   * (`gather: refuses indices out of range`). A key that names nothing is an error, so that no skip outlives its case.
   */
  readonly skip?: Readonly<Record<string, string>>;
  /** Random examples for each property, beside the fixed ones. Default 50. */
  readonly numRuns?: number;
  /** Seed of the examples. Default the same always, so that a run can be repeated. */
  readonly seed?: number;
  /** Run this group or case only. */
  readonly only?: string;
  /** With `only` and `seed` as a failure printed them: run that one example of a property. */
  readonly path?: string;
}

/** One promise of the contract, bound to a backend. */
export interface ConformanceCase {
  /** The operation that is tested, or `lifetimes`. */
  readonly group: string;
  readonly name: string;
  /** Why the case is not to be run, if it is not. */
  readonly skip?: string;
  /** @throws ConformanceError if the backend breaks the promise. */
  run(): Promise<void>;
}

/** The cases of a backend, and the way to give the backend back. */
export interface ConformanceSuite {
  readonly cases: readonly ConformanceCase[];
  /** Disposes the backend. Call it after the last case. */
  dispose(): Promise<void>;
}

/** What `conformance` needs of a test framework: vitest, jest and `node:test` all have it. */
export interface ConformanceRunner {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly it: ((name: string, body: () => Promise<void>, timeout?: number) => unknown) & {
    readonly skip: (name: string, body?: () => Promise<void>) => unknown;
  };
  /** Called with what disposes the backend (`after` in `node:test`). */
  readonly afterAll?: (body: () => Promise<void>) => unknown;
}

const DEFAULT_SEED = 20241227;
const DEFAULT_RUNS = 50;
/** Milliseconds that a test framework should give a case. */
const TIMEOUT = 120_000;

/**
 * The cases of the contract for one backend. They share the backend and count what it holds, so they wait for each
 * other if they are started at once.
 *
 * @throws ConformanceError if `skip` or `only` names no case.
 */
export function conformanceCases(options: ConformanceOptions): ConformanceSuite {
  const { skip = {}, only } = options;
  for (const key of [...Object.keys(skip), ...(only === undefined ? [] : [only])]) {
    if (!allCases.some((one) => names(key, one))) {
      throw new ConformanceError('conformance', `no case is called "${key}"; it was renamed, or is misspelt`);
    }
  }
  let context: Promise<CaseContext> | undefined;
  let last: Promise<unknown> = Promise.resolve();
  const bind = (definition: CaseDefinition): ConformanceCase => {
    const key = Object.keys(skip).find((candidate) => names(candidate, definition));
    return {
      group: definition.group,
      name: definition.name,
      ...(key === undefined ? {} : { skip: skip[key]! }),
      run() {
        const done = last.then(async () => {
          context ??= createContext(options);
          await definition.run(await context);
        });
        last = done.catch(() => {});
        return done;
      },
    };
  };
  return {
    cases: allCases.filter((one) => only === undefined || names(only, one)).map(bind),
    async dispose() {
      await last;
      if (context !== undefined) (await context).backend.dispose();
      context = undefined;
    },
  };
}

/** Registers the cases with a test framework, a `describe` for each operation. */
export function conformance(options: ConformanceOptions, { describe, it, afterAll }: ConformanceRunner): void {
  const { cases, dispose } = conformanceCases(options);
  describe(`${options.name} conforms to the Backend contract`, () => {
    for (const [group, members] of Map.groupBy(cases, (one) => one.group)) {
      describe(group, () => {
        for (const { name, skip, run } of members) {
          if (skip === undefined) it(name, run, TIMEOUT);
          else it.skip(`${name} (skipped: ${skip})`, async () => {});
        }
      });
    }
    afterAll?.(dispose);
  });
}

function names(key: string, definition: CaseDefinition): boolean {
  return key === definition.group || key === caseId(definition);
}

async function createContext(options: ConformanceOptions): Promise<CaseContext> {
  return {
    backend: await options.create(),
    foreign: reference(),
    tolerance: toleranceOf(options.tolerance),
    numRuns: options.numRuns ?? DEFAULT_RUNS,
    seed: options.seed ?? DEFAULT_SEED,
    path: options.path,
  };
}
