/**
 * What a case throws when a backend breaks the contract: which operation, on which operands, and at which element the
 * result departed from what was expected. The fields say in numbers what the message says in words, so that a runner
 * other than a test framework can show them as it likes.
 */

/** Facts of a `ConformanceError`, as far as they apply. */
export interface ConformanceFailure {
  /** The operands, as `f32 [2, 3]`. */
  readonly operands?: readonly string[];
  /** Position of the first element that differs, row-major. */
  readonly element?: number;
  /** The value (or code) that the backend gave there. */
  readonly actual?: number;
  /** The value (or code) that the contract asks for, before rounding to the tensor's dtype. */
  readonly expected?: number;
  /** The largest difference that the number format explains; 0 where the result must be exact. */
  readonly bound?: number;
  /** How many elements differ. */
  readonly differing?: number;
  /** Options that run the failing case again, and nothing else. */
  readonly rerun?: { readonly only: string; readonly seed: number; readonly path?: string };
}

/** A backend does not do what the contract says. */
export class ConformanceError extends Error {
  override readonly name = 'ConformanceError';
  /** The operation, or another group of cases, such as `lifetimes`. */
  readonly operation: string;
  readonly failure: ConformanceFailure;

  constructor(operation: string, message: string, failure: ConformanceFailure = {}, options?: ErrorOptions) {
    super(`${operation}: ${message}`, options);
    this.operation = operation;
    this.failure = failure;
  }
}
