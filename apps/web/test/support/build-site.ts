/**
 * Builds the page, with the model that it is tested with, before the tests in the browser. Each run has a folder of its
 * own, so that two can go on at the same time.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { findChromium, NO_CHROMIUM } from '../../../../tooling/chromium.ts';
import { makeModel } from './make-model.ts';

const WEB = fileURLToPath(new URL('../..', import.meta.url));

/** The run's own folder, which its tests are told by their environment. */
const RUN = process.env.MARIANA_WEB_RUN ?? join(WEB, '.cache', `run-${process.pid}`);

/** Where the built page is. */
export const SITE: string = join(RUN, 'site');

export default async function setup(): Promise<() => void> {
  if (findChromium() === undefined) throw new Error(NO_CHROMIUM);
  process.env.MARIANA_WEB_RUN = RUN;
  // A model that is given is for pictures: what tests expect in numbers, they expect of the one that is made here.
  if (process.env.MARIANA_WEB_MODEL === undefined) {
    process.env.MARIANA_WEB_MODEL = join(RUN, 'model');
    await makeModel(process.env.MARIANA_WEB_MODEL);
  }
  const environment = process.env.NODE_ENV;
  process.env.NODE_ENV = 'production'; // under `test` it would be the page of developers
  await build({
    configFile: join(WEB, 'vite.config.ts'),
    logLevel: 'error',
    build: { outDir: SITE, emptyOutDir: true },
  });
  process.env.NODE_ENV = environment;
  return () => rmSync(RUN, { recursive: true, force: true });
}
