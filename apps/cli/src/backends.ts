/** The backends that `--backend` knows, each loaded only when it is asked for. */
import { type Backend, MarianaError } from '@mariana/core';

const BACKENDS: Readonly<Record<string, () => Promise<Backend>>> = {
  cpu: async () => (await import('@mariana/backend-cpu')).cpu(),
  reference: async () => (await import('@mariana/backend-reference')).reference(),
};

/** Names of the backends, the default first. */
export const backendNames: readonly string[] = Object.keys(BACKENDS);

/**
 * Starts a backend.
 *
 * @param name - One of `backendNames`. Default: the first.
 * @throws MarianaError `USAGE` for an unknown name; what the backend throws where it does not work.
 */
export async function openBackend(name: string = backendNames[0]!): Promise<Backend> {
  const open = Object.hasOwn(BACKENDS, name) ? BACKENDS[name] : undefined;
  if (open !== undefined) return open();
  throw new MarianaError('USAGE', `there is no backend ${JSON.stringify(name)}; there are ${backendNames.join(', ')}`, {
    details: { backend: name, backends: backendNames },
  });
}
