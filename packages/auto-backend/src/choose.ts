/**
 * The choice itself: candidates are tried in an order, the first that is really there is taken, and each leaves a reason
 * that a program can branch on and a person can read. How a candidate is tried is in candidates.ts.
 */
import { type Backend, isMarianaError, MarianaError } from '@mariana/core';

/** The backends that can be chosen. */
export type BackendName = 'node-gpu' | 'webgpu' | 'cpu';

/** What became of a candidate. */
export type Verdict =
  /** This one computes. */
  | 'chosen'
  /** A candidate before it was chosen, so it was not tried. */
  | 'not-needed'
  /** It cannot be in this environment: CUDA in a browser. */
  | 'not-here'
  /** Its package is not installed. */
  | 'not-installed'
  /** Its package is installed, but there is no device, no driver, or no browser support for it. */
  | 'unavailable'
  /** There is an adapter, but it is a program that imitates a GPU; the CPU backend is faster. */
  | 'software'
  /** It cannot hold weights in the format that was asked for. */
  | 'unsuited';

/** A backend that was considered, and what became of it. */
export interface Candidate {
  readonly name: BackendName;
  readonly verdict: Verdict;
  /** One line for people: the device that was found, or what is missing and what to do. */
  readonly reason: string;
}

/** What was chosen, and why nothing else was. */
export interface BackendChoice {
  readonly backend: Backend;
  readonly name: BackendName;
  /** All that were considered, in the order in which they were. */
  readonly candidates: readonly Candidate[];
}

/** What trying a candidate gave. */
export type Trial =
  | { readonly verdict: 'chosen'; readonly reason: string; readonly backend: Backend }
  | { readonly verdict: Exclude<Verdict, 'chosen' | 'not-needed'>; readonly reason: string };

/** A way to try each backend, in the order of preference. */
export type Trials = readonly (readonly [name: BackendName, attempt: () => Promise<Trial>])[];

/**
 * Takes the first that is there. Only what a backend says of itself (`BACKEND_UNAVAILABLE`) is a reason to go on; any
 * other error is thrown.
 *
 * @throws MarianaError `BACKEND_UNAVAILABLE` with the candidates in `details`, if none is there.
 */
export async function choose(trials: Trials): Promise<BackendChoice> {
  const candidates: Candidate[] = [];
  let taken: { name: BackendName; backend: Backend } | undefined;
  for (const [name, attempt] of trials) {
    if (taken !== undefined) {
      candidates.push({ name, verdict: 'not-needed', reason: `${taken.name} comes first` });
      continue;
    }
    const trial = await attempt().catch((error: unknown): Trial => {
      if (!isMarianaError(error) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
      return { verdict: 'unavailable', reason: error.message };
    });
    candidates.push({ name, verdict: trial.verdict, reason: trial.reason });
    if (trial.verdict === 'chosen') taken = { name, backend: trial.backend };
  }
  if (taken !== undefined) return { ...taken, candidates };
  const reasons = candidates.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
  throw new MarianaError('BACKEND_UNAVAILABLE', `autoBackend: nothing computes here (${reasons})`, {
    details: { candidates },
  });
}

/** The order with the preferred ones first. */
export function preferring(trials: Trials, preferred: readonly BackendName[]): Trials {
  const rank = (name: BackendName) => {
    const at = preferred.indexOf(name);
    return at < 0 ? preferred.length : at;
  };
  return trials.toSorted(([a], [b]) => rank(a) - rank(b));
}
