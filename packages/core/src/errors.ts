/**
 * The one error class of Mariana. Every failure that a user can cause or must react to is a `MarianaError` with a
 * stable `code` and a single line that says what went wrong, where, and what to do about it. Programs branch on
 * `code`; people read `message`. Codes are part of the public interface: they are added, never renamed.
 */

/** Stable error codes, grouped by where they arise. */
export type ErrorCode =
  // config.json
  | 'CONFIG_INVALID' // a key is missing or absurd; the message carries the key's path
  | 'CONFIG_UNSUPPORTED' // a well-formed config of a model that Mariana does not run
  // files and sources
  | 'FILE_NOT_FOUND'
  | 'FILE_UNREADABLE' // permission, I/O error, a directory where a file was expected
  | 'FILE_WRITE_FAILED' // disk full, read-only; the previous file is untouched
  | 'FETCH_FAILED' // HTTP status, network, a server without byte ranges
  | 'SOURCE_TRUNCATED' // fewer bytes than the format promises
  // checkpoint formats
  | 'CHECKPOINT_CORRUPT' // header, offsets, index or JSON that contradict themselves
  | 'TENSOR_MISSING'
  | 'TENSOR_UNEXPECTED' // a tensor that the config has no place for
  | 'TENSOR_MISMATCH' // a tensor whose dtype or shape is not what the config asks for
  | 'TENSOR_INVALID' // values that cannot be used: FP8 NaN codes, infinite scales
  // training data
  | 'DATA_INVALID' // text that cannot be learned from; the message carries file and line
  // tensors and backends
  | 'SHAPE_MISMATCH'
  | 'DTYPE_MISMATCH'
  | 'INVALID_ARGUMENT'
  | 'TENSOR_DISPOSED'
  | 'WRONG_BACKEND' // a tensor or weight of another backend
  | 'NOT_DIFFERENTIABLE'
  | 'BACKEND_UNAVAILABLE' // the engine is missing or does not work here
  | 'BACKEND_FAILED' // the engine reported an error of its own (shader, device lost)
  | 'OUT_OF_MEMORY'
  // tokens and sessions
  | 'TOKEN_OUT_OF_RANGE'
  | 'CONTEXT_EXCEEDED'
  | 'TOKENIZER_INVALID'
  | 'TOKENIZER_MISSING'
  | 'USAGE'; // a command line or an options object that cannot be understood

/** What a `MarianaError` can carry besides its message. */
export interface MarianaErrorOptions {
  /** The error that caused this one. */
  cause?: unknown;
  /** Machine-readable facts of the message: tensor names, shapes, byte counts, paths. */
  details?: Readonly<Record<string, unknown>>;
}

/** An error with a stable `code` and a one-line message: what, where, what to do. */
export class MarianaError extends Error {
  override readonly name = 'MarianaError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: MarianaErrorOptions = {}) {
    super(message.replaceAll(/\s*\n\s*/g, ' '), options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** Whether `error` is a `MarianaError`, also one from another copy of this package. */
export function isMarianaError(error: unknown): error is MarianaError {
  return error instanceof Error && error.name === 'MarianaError' && typeof (error as MarianaError).code === 'string';
}
