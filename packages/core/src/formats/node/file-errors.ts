/** What the operating system's errors mean for a reader or writer of files. */

import { type ErrorCode, MarianaError } from '../../errors.ts';

/** Errors of reading: the code, and what to do. */
const READ: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOENT: ['FILE_NOT_FOUND', 'there is no such file; check the path'],
  ENOTDIR: ['FILE_NOT_FOUND', 'a part of the path is a file, not a folder; check the path'],
  EISDIR: ['FILE_UNREADABLE', 'this is a folder, a file was expected'],
  EACCES: ['FILE_UNREADABLE', 'no permission to read it; change its permissions or the user'],
  EPERM: ['FILE_UNREADABLE', 'no permission to read it; change its permissions or the user'],
  EMFILE: ['FILE_UNREADABLE', 'too many open files; raise the limit (ulimit -n)'],
  ELOOP: ['FILE_UNREADABLE', 'its symbolic links go round in a circle'],
};

/** Errors of writing: what to do. */
const WRITE: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free space or choose another place',
  EDQUOT: 'the disk quota is used up; free space or choose another place',
  EFBIG: 'the file system does not take files this large',
  ENOENT: 'its folder does not exist; make it first',
  ENOTDIR: 'a part of the path is a file, not a folder; check the path',
  EISDIR: 'there is a folder of that name; choose another',
  EACCES: 'no permission to write there; change permissions or the user',
  EPERM: 'no permission to write there; change permissions or the user',
  EROFS: 'the file system is read-only; choose another place',
};

/** A failure to read `path`, typed. */
export function readError(path: string, cause: unknown): MarianaError {
  const [code, advice] = READ[errno(cause)] ?? ['FILE_UNREADABLE', `it cannot be read (${String(cause)})`];
  return new MarianaError(code, `${path}: ${advice}`, { cause, details: { path, errno: errno(cause) } });
}

/** A failure to write `path`, typed `FILE_WRITE_FAILED`. What was there before is untouched: the caller sees to that. */
export function writeError(path: string, cause: unknown): MarianaError {
  const advice = WRITE[errno(cause)] ?? `it cannot be written (${String(cause)})`;
  return new MarianaError('FILE_WRITE_FAILED', `${path}: ${advice}`, { cause, details: { path, errno: errno(cause) } });
}

/** The name of an operating system error, such as ENOENT, or an empty string. */
export function errno(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
