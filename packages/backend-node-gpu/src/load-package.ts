/**
 * Loads tfjs-node-gpu, or else tfjs-node, when it is asked for and not before: both are optional, and merely importing
 * them starts a native library.
 */
import type { TfModule } from '@mariana/backend-tfjs';
import type { MarianaError } from '@mariana/core';
import { messageOf, type NodeGpuFailure, unavailable } from './unavailable.ts';

/** The packages that bring the engine, the preferred one first. */
const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;

/** What was loaded. */
export interface LoadedPackage {
  readonly name: string;
  readonly tf: TfModule;
}

/** Imports a package by name. */
export type ImportPackage = (name: string) => Promise<unknown>;

/** The name is a variable, so that bundlers leave packages alone that may not be there. */
const importPackage: ImportPackage = (name) => import(/* @vite-ignore */ name);

/**
 * The first of the packages that is installed. One that is installed but broken is an error: the next one would be a
 * silent fall-back.
 *
 * @throws MarianaError `BACKEND_UNAVAILABLE`, reason `package-missing`, `addon-missing`, `addon-broken` or
 *   `package-broken`.
 */
export async function loadPackage(load: ImportPackage = importPackage): Promise<LoadedPackage> {
  for (const name of PACKAGES) {
    let loaded: unknown;
    try {
      loaded = await load(name);
    } catch (error) {
      if (isMissing(error, name)) continue;
      throw failureOf(name, error);
    }
    const tf = namespaceIn(loaded);
    if (tf !== undefined) return { name, tf };
    throw unavailable('package-broken', `${name} is installed but is no TensorFlow.js; install version 4.22`, {
      package: name,
    });
  }
  throw unavailable(
    'package-missing',
    `neither ${PACKAGES.join(' nor ')} is installed; npm install ${PACKAGES[0]} (it brings CUDA's TensorFlow), or use another backend`,
  );
}

/**
 * An import of the package itself that failed, as against one of something that it needs. Node says "Cannot find package
 * 'x'" (or module), bundlers that they could not resolve "x"; codes differ, and some give none.
 */
function isMissing(error: unknown, name: string): boolean {
  const message = messageOf(error);
  return (
    /(cannot|could not|failed to) (find|resolve|load)/i.test(message) &&
    [`'${name}'`, `"${name}"`].some((quoted) => message.includes(quoted))
  );
}

function failureOf(name: string, cause: unknown): MarianaError {
  const message = messageOf(cause);
  const [reason, problem]: [NodeGpuFailure, string] =
    (cause as NodeJS.ErrnoException | null)?.code === 'ERR_DLOPEN_FAILED'
      ? [
          'addon-broken',
          `the addon of ${name} cannot be loaded (${message}); install the libraries that it names, or "npm rebuild ${name} --build-addon-from-source"`,
        ]
      : // tfjs-node gives this error no code.
        /native addon module \(tfjs_binding\.node\) can ?not be found/.test(message.replaceAll(/\s+/g, ' '))
        ? [
            'addon-missing',
            `${name} is installed without its native addon: its install script did not run; allow it, then "npm rebuild ${name}"`,
          ]
        : ['package-broken', `${name} failed while it was loaded (${message}); install it anew`];
  return unavailable(reason, problem, { cause, package: name });
}

/** The namespace of TensorFlow.js in a module: tfjs-node is CommonJS, which arrives as `default`. */
function namespaceIn(loaded: unknown): TfModule | undefined {
  const candidates = [(loaded as { default?: unknown } | null)?.default, loaded];
  return candidates.find((it) => typeof (it as TfModule | undefined)?.setBackend === 'function') as
    | TfModule
    | undefined;
}
