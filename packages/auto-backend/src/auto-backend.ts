/** `autoBackend()`: the fastest backend that is really there, chosen where everyone can see why. */
import { type Backend, MarianaError } from '@mariana/core';
import { allTrials, type BackendSettings } from './candidates.ts';
import { type BackendChoice, type BackendName, choose, preferring } from './choose.ts';

const NAMES: readonly BackendName[] = ['node-gpu', 'webgpu', 'cpu'];

export interface AutoBackendOptions extends BackendSettings {
  /** What to try first, in this order; the others follow in theirs. Default: `node-gpu`, `webgpu`, `cpu`. */
  readonly prefer?: BackendName | readonly BackendName[];
  /** Told what was chosen and why, before the backend is handed over. */
  readonly onChoice?: (choice: BackendChoice) => void;
  /** Format that weights are held in; a backend that has it not is passed over. Default: as they come. */
  readonly weights?: NonNullable<BackendSettings['weights']>;
  /** Threads of the CPU backend. Default: one for each core. */
  readonly threads?: number;
  /** Whether the CPU backend may join vectors to 256 bits, an experimental flag of V8. Default: as `cpu()` has it. */
  readonly wideVectors?: boolean;
}

/**
 * Starts the fastest backend that is really there: `node-gpu` if TensorFlow finds a CUDA device, else `webgpu` if its
 * adapter is a GPU, else `cpu`. An adapter that only imitates a GPU is never chosen, preferred or not: call `webgpu()`
 * for that one. In Node, WebGPU takes the package `webgpu` beside `@mariana/backend-webgpu`.
 *
 * @throws MarianaError `BACKEND_UNAVAILABLE` if nothing computes here, `INVALID_ARGUMENT` for a name that is none, and
 *   what the chosen backend says to its options.
 */
export async function autoBackend(options: AutoBackendOptions = {}): Promise<Backend> {
  const { prefer = [], onChoice, ...settings } = options;
  const preferred = typeof prefer === 'string' ? [prefer] : prefer;
  for (const name of preferred) {
    if (NAMES.includes(name)) continue;
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `autoBackend: there is no backend ${JSON.stringify(name)} to prefer; there are ${NAMES.join(', ')}`,
    );
  }
  const choice = await choose(preferring(allTrials(settings), preferred));
  onChoice?.(choice);
  return choice.backend;
}
