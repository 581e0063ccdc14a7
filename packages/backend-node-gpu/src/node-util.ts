/**
 * Puts back two functions of `node:util` that Node 23 removed and tfjs-node 4.22 still calls, in operations such as
 * `scatterND`. tfjs-node reads them from the module at each call, so it is enough that they are there before the first.
 */
import util from 'node:util';
import { unavailable } from './unavailable.ts';

const REMOVED: Readonly<Record<string, (value: unknown) => boolean>> = {
  isNullOrUndefined: (value) => value === null || value === undefined,
  isArray: Array.isArray,
};

/**
 * @param target - The module's own object. Default: that of `node:util`.
 * @throws MarianaError `BACKEND_UNAVAILABLE`, reason `node-util`, if it can no longer be changed.
 */
export function restoreNodeUtil(target: object = util): void {
  for (const [name, restored] of Object.entries(REMOVED)) {
    if (typeof Reflect.get(target, name) === 'function') continue;
    // As Node's own were: there to be called, and not listed.
    const done = Reflect.defineProperty(target, name, {
      value: restored,
      configurable: true,
      writable: true,
      enumerable: false,
    });
    if (!done) {
      throw unavailable(
        'node-util',
        `tfjs-node calls util.${name}, which Node ${process.version} does not have, and node:util is frozen here; ` +
          'use Node 22, or load this backend before whatever freezes the modules',
      );
    }
  }
}
