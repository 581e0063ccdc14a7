/** The backends that `--backend` knows, each loaded only when it is asked for. */
import { type Backend, MarianaError } from '@mariana/core';

/** How weights may be held, beside as they come. */
export const WEIGHT_FORMATS = ['native', 'fp8', 'int8', 'int4', 'f32'] as const;

/** What a backend can be told. */
export interface BackendOptions {
  readonly weights?: (typeof WEIGHT_FORMATS)[number];
  readonly threads?: number;
  /** Let the CPU join vectors to 256 bits. Default: where it can. */
  readonly wideVectors?: boolean;
}

/** Starts a backend; `say` is told what there was to choose. */
type Start = (options: BackendOptions, say: (line: string) => void) => Promise<Backend>;

const BACKENDS: Readonly<Record<string, Start>> = {
  cpu: async ({ wideVectors = true, ...options }) => {
    const { canWidenVectors, cpu } = await import('@mariana/backend-cpu');
    return cpu({ ...options, wideVectors: wideVectors && canWidenVectors() });
  },
  reference: async (options) => {
    if (options.weights !== undefined || options.threads !== undefined) {
      throw new MarianaError(
        'USAGE',
        'the reference backend knows F32 and one thread; leave --weights and --threads out',
      );
    }
    return (await import('@mariana/backend-reference')).reference();
  },
  auto: async ({ wideVectors = true, ...options }, say) => {
    const { autoBackend } = await import('@mariana/auto-backend');
    const { canWidenVectors } = await import('@mariana/backend-cpu');
    return autoBackend({
      ...options,
      wideVectors: wideVectors && canWidenVectors(),
      onChoice: ({ name, candidates }) => {
        const reasons = candidates.map((one) => `${one.name} ${one.verdict} (${one.reason})`);
        say(`computing on ${name}: ${reasons.join(', ')}`);
      },
    });
  },
};

/** Names of the backends, the default first. */
const backendNames: readonly string[] = Object.keys(BACKENDS);

/**
 * Starts a backend.
 *
 * @param name - One of `backendNames`. Default: the first.
 * @param say - Told, in a line, what `auto` chose and why.
 * @throws MarianaError `USAGE` for an unknown name; what the backend throws where it does not work.
 */
export async function openBackend(
  name: string = backendNames[0]!,
  options: BackendOptions = {},
  say: (line: string) => void = () => {},
): Promise<Backend> {
  const open = Object.hasOwn(BACKENDS, name) ? BACKENDS[name] : undefined;
  if (open !== undefined) return open(options, say);
  throw new MarianaError('USAGE', `there is no backend ${JSON.stringify(name)}; there are ${backendNames.join(', ')}`, {
    details: { backend: name, backends: backendNames },
  });
}
