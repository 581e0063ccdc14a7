/** Choosing an engine of TensorFlow.js, and being sure that it is the one that computes. */
import { MarianaError } from '@mariana/core';
import type { TensorOf, TfModule, TfNamespace } from './tf-module.ts';
import { TfjsBackend } from './tfjs-backend.ts';
import { checkArithmetic, type EngineTraits, probeTraits } from './traits.ts';

/** The engines that this adapter is tested on, by the names under which tfjs registers them. */
export type TfjsEngine = 'cpu' | 'wasm' | 'webgpu' | 'tensorflow';

const HOW_TO_GET: Readonly<Record<TfjsEngine, string>> = {
  cpu: "import '@tensorflow/tfjs-backend-cpu' first",
  wasm: "import '@tensorflow/tfjs-backend-wasm' first",
  webgpu: "import '@tensorflow/tfjs-backend-webgpu' first, where navigator.gpu exists",
  tensorflow: "import '@tensorflow/tfjs-node' or '@tensorflow/tfjs-node-gpu' first",
};

export interface TfjsOptions<Tf extends TfNamespace = TfModule> {
  /** The namespace of TensorFlow.js: `import * as tf from '@tensorflow/tfjs-core'`. */
  readonly tf: Tf & TfModule<TensorOf<Tf>>;
  /** The engine to compute on; its package must have been imported. It becomes the active engine of tfjs. */
  readonly engine: TfjsEngine;
}

/**
 * Makes a backend that computes with the ops of TensorFlow.js on one of its engines. tfjs falls back to another engine
 * when one does not start; this function does not.
 *
 * @throws MarianaError `BACKEND_UNAVAILABLE` if the engine is not registered, does not start, or does not compute in
 *   float32; `INVALID_ARGUMENT` for an unknown engine.
 */
export async function tfjs<Tf extends TfNamespace>(options: TfjsOptions<Tf>): Promise<TfjsBackend<TensorOf<Tf>>> {
  return new TfjsBackend(options.tf, options.engine, await startEngine(options));
}

/**
 * What `tfjs` does first: makes an engine the active one, checks that it computes in float32, and finds out what it gets
 * right by itself. For classes that extend `TfjsBackend`.
 *
 * @throws MarianaError as `tfjs` does.
 */
export async function startEngine<Tf extends TfNamespace>({ tf, engine }: TfjsOptions<Tf>): Promise<EngineTraits> {
  if (!Object.hasOwn(HOW_TO_GET, engine)) {
    const known = Object.keys(HOW_TO_GET).join(', ');
    throw new MarianaError('INVALID_ARGUMENT', `tfjs: there is no engine "${engine}"; choose one of ${known}`);
  }
  await activate(tf, engine);
  try {
    await checkArithmetic(tf, engine);
    return await probeTraits(tf);
  } catch (cause) {
    if (cause instanceof MarianaError) throw cause;
    throw unavailable(engine, `failed its first computation (${messageOf(cause)}); use another engine`, cause);
  }
}

async function activate(tf: TfModule, engine: TfjsEngine): Promise<void> {
  let started: boolean;
  try {
    started = await tf.setBackend(engine);
    if (started) await tf.ready();
  } catch (cause) {
    throw unavailable(engine, `is not there (${messageOf(cause)}); ${HOW_TO_GET[engine]}`, cause);
  }
  if (!started) throw unavailable(engine, 'did not start; the console has the reason that tfjs gives');
  if (tf.getBackend() !== engine) {
    throw unavailable(engine, `was asked for, but tfjs chose ${tf.getBackend()}; use that or mend the engine`);
  }
}

function unavailable(engine: string, problem: string, cause?: unknown): MarianaError {
  return new MarianaError('BACKEND_UNAVAILABLE', `tfjs engine ${engine} ${problem}`, { cause, details: { engine } });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
