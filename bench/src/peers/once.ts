/** Fills folders of the cache, whole or not at all. */
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Fills a folder; where that fails half-way nothing is left, so that the next run tries again. */
export async function once(home: string, fill: (home: string) => Promise<void>): Promise<string> {
  const complete = join(home, 'complete');
  if (existsSync(complete)) return home;
  await rm(home, { recursive: true, force: true });
  await mkdir(home, { recursive: true });
  try {
    await fill(home);
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
  await writeFile(complete, '');
  return home;
}
