/** Making the backend: finding a GPU, starting TensorFlow.js on it, and saying what is missing where that fails. */
import type { TensorOf, TfNamespace } from '@mariana/backend-tfjs';
import { MarianaError } from '@mariana/core';
import { activate, startEngine } from './device/engine.ts';
import type { AdapterChoice } from './device/open-device.ts';
import type { WebGpuTfModule } from './device/tfjs-webgpu.ts';
import { FusingBackend } from './fusion/fusing-backend.ts';
import { WebGpuBackend, type WebGpuWeights } from './webgpu-backend.ts';

export interface WebGpuOptions<Tf extends TfNamespace = TfNamespace> extends AdapterChoice {
  /**
   * The namespace of TensorFlow.js, for a program that uses it beside this backend:
   * `import * as tf from '@tensorflow/tfjs-core'`. Default: this package's own.
   */
  readonly tf?: Tf;
  /**
   * Format that weights are held in. `native` (default) keeps each as the checkpoint has it. `int8` and `int4` quantise
   * while loading, but for routers and embeddings.
   */
  readonly weights?: WebGpuWeights;
  /**
   * Put operations of a decode step off until it is known what they are part of, and make one dispatch of several: about
   * a third as many for a token. Default true.
   */
  readonly fuse?: boolean;
}

const WEIGHTS: readonly string[] = ['native', 'fp8', 'int8', 'int4', 'f32'];

/**
 * Makes a backend that computes on the GPU through WebGPU: in a browser, and in Node with the package `webgpu`.
 *
 * The engine `webgpu` of TensorFlow.js becomes the active one, on the same device: a running one is taken over, with
 * the tensors on it. In Node, WebGPU's classes and `navigator.gpu` are put among the globals.
 *
 * @throws MarianaError `BACKEND_UNAVAILABLE` where there is no WebGPU or no adapter; `INVALID_ARGUMENT` for options
 *   that do not exist.
 */
export async function webgpu<Tf extends TfNamespace = TfNamespace>(
  options: WebGpuOptions<Tf> = {},
): Promise<WebGpuBackend<TensorOf<Tf>>> {
  const { weights = 'native', fuse = true } = options;
  if (!WEIGHTS.includes(weights)) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `webgpu: weights is ${weights}; it must be one of ${WEIGHTS.join(', ')}`,
    );
  }
  const tf = (options.tf ?? (await import('@tensorflow/tfjs-core'))) as unknown as WebGpuTfModule;
  const engine = await startEngine(tf, options);
  await activate(tf);
  return fuse ? new FusingBackend<TensorOf<Tf>>(engine, weights) : new WebGpuBackend<TensorOf<Tf>>(engine, weights);
}
