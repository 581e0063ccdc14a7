/**
 * How the page talks to its workers: typed calls that answer once, tell of events on the way, and can be cancelled. Errors
 * keep their code, which is what the page explains them by. An API is an interface whose methods take one argument, a
 * function for events, and a signal; a worker serves it (`serve`) and the page calls it (`connect`).
 */
import { isMarianaError, MarianaError } from '@mariana/core';

/**
 * One method of an API. Argument, events and result are copied as `structuredClone` does, but for what is in `transfer`.
 */
// biome-ignore lint/suspicious/noExplicitAny: any method is one, whatever it takes, tells and answers
type Method = (argument: any, emit: (event: any, transfer?: Transferable[]) => void, signal: AbortSignal) => unknown;

/** The methods of an API by name. */
export type Api<T> = { readonly [K in keyof T]: Method };

export type ArgumentOf<M> = M extends (argument: infer A, ...rest: never[]) => unknown ? A : never;
export type EventOf<M> = M extends (
  argument: never,
  emit: (event: infer E, ...rest: never[]) => void,
  ...rest: never[]
) => unknown
  ? E
  : never;
export type ResultOf<M> = M extends (...all: never[]) => infer R ? Awaited<R> : never;

/** An error on its way between threads. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly code: string | null;
  readonly details: unknown;
}

/** From the page to the worker. */
export type Request =
  | { readonly kind: 'call'; readonly id: number; readonly method: string; readonly argument: unknown }
  | { readonly kind: 'cancel'; readonly id: number };

/** From the worker to the page. */
export type Reply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'event'; readonly id: number; readonly event: unknown }
  | { readonly kind: 'result'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: SentError };

export function sendError(error: unknown): SentError {
  if (isMarianaError(error)) {
    return { name: error.name, message: error.message, code: error.code, details: cloneable(error.details) };
  }
  if (error instanceof Error) return { name: error.name, message: error.message, code: null, details: null };
  return { name: 'Error', message: String(error), code: null, details: null };
}

export function receiveError({ name, message, code, details }: SentError): Error {
  if (code !== null) {
    return new MarianaError(code as MarianaError['code'], message, isRecord(details) ? { details } : {});
  }
  if (name === 'AbortError' || name === 'QuotaExceededError') return new DOMException(message, name);
  const error = new Error(message);
  error.name = name;
  return error;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** Details may hold what cannot be sent; the message says the same. */
function cloneable(details: unknown): unknown {
  try {
    return structuredClone(details);
  } catch {
    return null;
  }
}
