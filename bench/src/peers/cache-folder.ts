/** Where models and peers are kept: outside of the repository, for they are large and no part of it. */
import { homedir } from 'node:os';
import { join } from 'node:path';

export function cacheFolder(): string {
  const { MARIANA_BENCH_CACHE, XDG_CACHE_HOME } = process.env;
  return MARIANA_BENCH_CACHE || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'mariana-bench');
}
