/**
 * Starts the backend on TensorFlow's C library, or says why it cannot. TensorFlow.js answers most failures by computing
 * somewhere else; here each is an error of its own (`NodeGpuFailure`).
 */
import { startEngine, type TensorOf, type TfModule, type TfNamespace } from '@mariana/backend-tfjs';
import { loadPackage } from './load-package.ts';
import { NodeGpuBackend } from './node-gpu-backend.ts';
import { restoreNodeUtil } from './node-util.ts';
import { messageOf, unavailable } from './unavailable.ts';

const ENGINE = 'tensorflow';

export interface NodeGpuOptions<Tf extends TfNamespace = TfModule> {
  /**
   * The namespace of tfjs-node or tfjs-node-gpu, if the program has imported it itself; the backend then gives out
   * tensors of its class. Default: `@tensorflow/tfjs-node-gpu` is loaded, or `@tensorflow/tfjs-node` if only that is
   * installed.
   */
  readonly tf?: Tf & TfModule<TensorOf<Tf>>;
  /**
   * Whether TensorFlow may compute on the CPU. Default: only if plain `@tensorflow/tfjs-node` is what is installed, since
   * whoever installs the GPU's package and has no working CUDA would otherwise compute slowly without being told.
   */
  readonly allowCpu?: boolean;
}

/**
 * Makes a backend that computes in TensorFlow's C library: on CUDA with `@tensorflow/tfjs-node-gpu`, on the CPU with
 * `@tensorflow/tfjs-node`. The engine becomes the active one of tfjs.
 *
 * @throws MarianaError `BACKEND_UNAVAILABLE` for each way in which it can be missing; `details.reason` is a
 *   `NodeGpuFailure`.
 */
export async function nodeGpu<Tf extends TfNamespace = TfModule>(
  options: NodeGpuOptions<Tf> = {},
): Promise<NodeGpuBackend<TensorOf<Tf>>> {
  // The class of its tensors matters to the caller only.
  const backend: unknown = await startNodeGpu(options as unknown as NodeGpuOptions, loadPackage);
  return backend as NodeGpuBackend<TensorOf<Tf>>;
}

/** `nodeGpu` with the way to load the package left open. */
export async function startNodeGpu(options: NodeGpuOptions, load: typeof loadPackage): Promise<NodeGpuBackend> {
  restoreNodeUtil();
  const { name, tf } = options.tf === undefined ? await load() : { name: undefined, tf: options.tf };
  await activate(tf, name);
  const engine = (tf as Partial<TfEngines>).backend?.() ?? {};
  const device = engine.isUsingGpuDevice === true ? 'gpu' : 'cpu';
  if (device === 'cpu' && !(options.allowCpu ?? engine.isGPUPackage !== true)) {
    throw unavailable(
      'no-gpu',
      'TensorFlow found no CUDA device and would compute on the CPU; mend the driver and CUDA (TensorFlow says above what it missed), or pass allowCpu: true',
      { package: name },
    );
  }
  try {
    return new NodeGpuBackend(tf, device, await startEngine({ tf, engine: ENGINE }));
  } catch (cause) {
    throw unavailable('does-not-compute', messageOf(cause), { cause, package: name });
  }
}

/** What of tfjs-core and of tfjs-node's engine is looked at besides `TfModule`. */
interface TfEngines {
  findBackendFactory(name: string): (() => unknown) | null;
  backend(): { readonly isUsingGpuDevice?: boolean; readonly isGPUPackage?: boolean };
}

/** Makes TensorFlow the active engine, and finds the cause where tfjs keeps it to itself. */
async function activate(tf: TfModule, name: string | undefined): Promise<void> {
  const factory = (tf as Partial<TfEngines>).findBackendFactory?.(ENGINE);
  if (factory === null || factory === undefined) {
    throw unavailable(
      'engine-missing',
      `this TensorFlow.js has no engine "${ENGINE}"; pass the namespace of @tensorflow/tfjs-node-gpu, or leave tf out`,
      { package: name },
    );
  }
  let cause: unknown;
  const started = await tf.setBackend(ENGINE).catch((error: unknown) => {
    cause = error;
    return false;
  });
  if (!started) {
    // tfjs prints why and says only `false`; the engine's own constructor tells.
    cause ??= await errorOf(factory);
    const why = cause === undefined ? 'the console has the reason that tfjs gives' : messageOf(cause);
    throw unavailable('engine-failed', `TensorFlow did not start (${why}); use another backend, or mend it`, {
      cause,
      package: name,
    });
  }
  if (tf.getBackend() === ENGINE) return;
  throw unavailable(
    'fell-back',
    `TensorFlow was asked for, but tfjs computes on ${tf.getBackend()}; use that backend, or await tf.setBackend('${ENGINE}') first`,
    { package: name },
  );
}

async function errorOf(factory: () => unknown): Promise<unknown> {
  try {
    await factory();
    return undefined;
  } catch (error) {
    return error;
  }
}
