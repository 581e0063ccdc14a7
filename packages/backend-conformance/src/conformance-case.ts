/**
 * A case is one promise of the contract, as something that can be run. It comes in two kinds: a property, which holds
 * for every example that fast-check can think of, and an example worked by hand.
 */
import type { Backend } from '@mariana/core';
import fc from 'fast-check';
import { ConformanceError } from './conformance-error.ts';
import type { Tolerance } from './tolerance.ts';
import { Workbench } from './workbench.ts';

/** What the cases of one suite share. */
export interface CaseContext {
  readonly backend: Backend;
  readonly foreign: Backend;
  readonly tolerance: Tolerance;
  readonly numRuns: number;
  readonly seed: number;
  /** Path of a failing example, to run it alone. */
  readonly path: string | undefined;
}

/** A case before it is bound to a backend. */
export interface CaseDefinition {
  /** The operation that is tested. */
  readonly group: string;
  readonly name: string;
  run(context: CaseContext): Promise<void>;
}

/** The name by which a case is skipped or run alone. */
export function caseId({ group, name }: Pick<CaseDefinition, 'group' | 'name'>): string {
  return `${group}: ${name}`;
}

/** A case worked by hand. */
export function example(group: string, name: string, body: (bench: Workbench) => Promise<void>): CaseDefinition {
  return { group, name, run: (context) => work(group, context, body) };
}

/** What a property ranges over. */
export interface PropertyOptions<T> {
  readonly arbitrary: fc.Arbitrary<T>;
  /** Examples that are always run, before random ones. */
  readonly examples?: readonly T[];
}

/** A case for all examples of an arbitrary. */
export function property<T>(
  group: string,
  name: string,
  { arbitrary, examples = [] }: PropertyOptions<T>,
  body: (bench: Workbench, value: T) => Promise<void>,
): CaseDefinition {
  const definition: CaseDefinition = {
    group,
    name,
    async run(context) {
      const holds = fc.asyncProperty(arbitrary, (value) => work(group, context, (bench) => body(bench, value)));
      const details = await fc.check<[T]>(holds, {
        seed: context.seed,
        numRuns: context.numRuns + examples.length,
        examples: examples.map((value): [T] => [value]),
        ...(context.path === undefined ? {} : { path: context.path }),
      });
      if (details.failed) throw failureOf(definition, details);
    },
  };
  return definition;
}

async function work(
  group: string,
  { backend, foreign, tolerance }: CaseContext,
  body: (bench: Workbench) => Promise<void>,
): Promise<void> {
  const bench = new Workbench(group, backend, foreign, tolerance);
  try {
    await body(bench);
    await bench.expectOperandsUnchanged();
  } catch (error) {
    if (error instanceof ConformanceError) throw error;
    return bench.fail(`threw ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  } finally {
    bench.clear();
  }
  bench.expectNothingLeft();
}

function failureOf<T>(definition: CaseDefinition, details: fc.RunDetails<[T]>): ConformanceError {
  const { counterexample, counterexamplePath, errorInstance, numShrinks, seed } = details;
  if (counterexample === null) {
    return new ConformanceError(definition.group, `${definition.name}: too few examples met its preconditions`);
  }
  const cause = errorInstance;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const rerun = {
    only: caseId(definition),
    seed,
    ...(counterexamplePath === null ? {} : { path: counterexamplePath }),
  };
  return new ConformanceError(
    definition.group,
    `${definition.name}\n  ${reason}\n  example: ${fc.stringify(counterexample[0])} (shrunk ${numShrinks} times)\n` +
      `  run it again with the options ${JSON.stringify(rerun)}`,
    { ...(cause instanceof ConformanceError ? cause.failure : {}), rerun },
    { cause },
  );
}
