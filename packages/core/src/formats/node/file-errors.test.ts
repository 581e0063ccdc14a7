import { describe, expect, it } from 'vitest';
import { readError, writeError } from './file-errors.ts';

const failure = (code: string) => Object.assign(new Error(`${code}: as the system says it`), { code });

describe('errors of the operating system', () => {
  it.each([
    ['ENOENT', 'FILE_NOT_FOUND', 'no such file'],
    ['ENOTDIR', 'FILE_NOT_FOUND', 'not a folder'],
    ['EACCES', 'FILE_UNREADABLE', 'no permission'],
    ['EMFILE', 'FILE_UNREADABLE', 'too many open files'],
    ['EIO', 'FILE_UNREADABLE', 'EIO: as the system says it'],
  ])('%s while reading is %s', (errno, code, message) => {
    const cause = failure(errno);
    const error = readError('a/b', cause);
    expect(error).toMatchObject({ code, cause, details: { path: 'a/b', errno } });
    expect(error.message).toContain('a/b: ');
    expect(error.message).toContain(message);
  });

  it.each([
    ['ENOSPC', 'the disk is full'],
    ['EDQUOT', 'quota'],
    ['EACCES', 'no permission'],
    ['EROFS', 'read-only'],
    ['EIO', 'EIO: as the system says it'],
  ])('%s while writing is FILE_WRITE_FAILED', (errno, message) => {
    const error = writeError('a/b', failure(errno));
    expect(error).toMatchObject({ code: 'FILE_WRITE_FAILED', details: { path: 'a/b', errno } });
    expect(error.message).toContain(message);
  });
});
