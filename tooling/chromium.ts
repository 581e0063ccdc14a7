/**
 * Finds a Chromium for the tests that run in a browser. None is downloaded: the system's own is used, so that the tests
 * hold for what people have, and a machine without one can run all the other tests.
 */
import { existsSync } from 'node:fs';

const VARIABLE = 'MARIANA_CHROMIUM';
const PLACES = ['/usr/bin/chromium', '/usr/bin/google-chrome'];

/** Why there is no browser, and how to get one. */
export const NO_CHROMIUM = `no Chromium at ${PLACES.join(' or ')}; install one, or name it in ${VARIABLE}`;

/**
 * The program to start: what MARIANA_CHROMIUM names, or else the first of the usual places. Undefined if there is none.
 *
 * @throws Error if MARIANA_CHROMIUM names a file that does not exist: a slip there must not turn tests off.
 */
export function findChromium(): string | undefined {
  const named = process.env[VARIABLE];
  if (named !== undefined && named !== '') {
    if (!existsSync(named)) throw new Error(`${VARIABLE} is ${named}, where there is no file`);
    return named;
  }
  return PLACES.find((place) => existsSync(place));
}
