/**
 * One HTTP exchange that cannot hang and whose failures are typed: `FETCH_FAILED` with the status, `FILE_NOT_FOUND`
 * where the server says so, and a mark on those that may pass if tried again. `retrying` tries those again, a bounded
 * number of times.
 */

import { type ErrorCode, MarianaError } from '../../errors.ts';

/** How files are fetched. */
export interface HttpOptions {
  /** What to fetch with; `globalThis.fetch` by default. */
  fetch?: typeof fetch;
  /** Sent with every request, such as `{ authorization: 'Bearer ...' }`. */
  headers?: Readonly<Record<string, string>>;
  /** Aborts every request, whenever it is made; what is under way then rejects with the signal's reason. */
  signal?: AbortSignal;
  /** How often one read is tried again after a failure that may pass (network, 408, 425, 429, 5xx); 3 by default. */
  retries?: number;
  /** Milliseconds before the first new try, doubled for each further one; 250 by default. */
  retryDelayMs?: number;
  /** Milliseconds without a byte after which a connection counts as failed; 30,000 by default. */
  stallMs?: number;
  /** The largest file, in bytes, that is taken whole from a server without byte ranges; 64 MiB by default. */
  wholeFileBytes?: number;
}

/** Statuses after which the same request may well succeed. */
const PASSING_STATUSES: readonly number[] = [408, 425, 429, 500, 502, 503, 504];

/** A failure that may pass if the request is made again. It never leaves this folder: `retrying` unwraps it. */
export class PassingFailure extends Error {
  readonly failure: MarianaError;

  constructor(failure: MarianaError) {
    super(failure.message);
    this.failure = failure;
  }
}

/** What is shown of a URL in messages: no user, password or query, which may hold secrets. */
export function displayUrl(url: URL): string {
  return url.host === '' ? `${url.protocol}${url.pathname}` : `${url.protocol}//${url.host}${url.pathname}`;
}

/**
 * Makes one request and hands the response to `consume`, which must finish with the body before it resolves. `alive`
 * is to be called whenever bytes arrive. What is left of the body is cancelled afterwards.
 *
 * @throws PassingFailure for network failures and stalls, and the reason of `options.signal` once that is aborted.
 */
export async function exchange<T>(
  url: URL,
  init: { readonly method?: 'GET' | 'HEAD'; readonly range?: string },
  options: HttpOptions,
  consume: (response: Response, alive: () => void) => Promise<T>,
): Promise<T> {
  const name = displayUrl(url);
  options.signal?.throwIfAborted();
  const stall = new AbortController();
  const stallMs = options.stallMs ?? 30_000;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stall.abort(), stallMs);
  };
  alive();
  let response: Response | undefined;
  try {
    const headers = new Headers(options.headers);
    if (init.range !== undefined) headers.set('range', init.range);
    response = await (options.fetch ?? fetch)(url, {
      method: init.method ?? 'GET',
      headers,
      signal: options.signal === undefined ? stall.signal : AbortSignal.any([options.signal, stall.signal]),
    });
    alive();
    return await consume(response, alive);
  } catch (cause) {
    options.signal?.throwIfAborted();
    if (cause instanceof MarianaError || cause instanceof PassingFailure) throw cause;
    const why = stall.signal.aborted
      ? `no byte arrived for ${stallMs} ms`
      : `the request failed (${describe(cause)}); check the network, and in a browser that the server allows this page (CORS)`;
    throw new PassingFailure(new MarianaError('FETCH_FAILED', `${name}: ${why}`, { cause, details: { url: name } }));
  } finally {
    clearTimeout(timer);
    // A body that is done or failed rejects the cancelling, which changes nothing then.
    if (response?.body && !response.body.locked) await response.body.cancel().catch(() => undefined);
  }
}

/** The error for a response whose status is not one of those hoped for; a PassingFailure where another try may help. */
export function statusError(url: URL, response: Response): MarianaError | PassingFailure {
  const { status } = response;
  const name = displayUrl(url);
  let code: ErrorCode = 'FETCH_FAILED';
  let advice = 'check the address';
  if (status === 404 || status === 410) {
    code = 'FILE_NOT_FOUND';
    advice = 'there is no such file; check the address';
  } else if (status === 401 || status === 403) {
    advice = 'access is denied; give credentials in `headers`';
  } else if (PASSING_STATUSES.includes(status)) {
    advice = 'the server is busy or broken; try again later';
  }
  const text = response.statusText === '' ? '' : ` ${response.statusText}`;
  const error = new MarianaError(code, `${name}: the server answered ${status}${text}; ${advice}`, {
    details: { url: name, status },
  });
  return PASSING_STATUSES.includes(status) ? new PassingFailure(error) : error;
}

/**
 * Calls `attempt` until it succeeds, at most `options.retries` times again after a `PassingFailure`.
 *
 * @throws MarianaError what `attempt` throws, a PassingFailure unwrapped.
 */
export async function retrying<T>(options: HttpOptions, attempt: () => Promise<T>): Promise<T> {
  const retries = options.retries ?? 3;
  for (let failures = 0; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof PassingFailure)) throw error;
      if (failures >= retries) throw error.failure;
      await delay((options.retryDelayMs ?? 250) * 2 ** failures, options.signal);
    }
  }
}

function delay(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}

/** An error with its cause: what `fetch` says itself is often only "fetch failed". */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
