/**
 * Every way in which TensorFlow's C library can be missing, each with a name to branch on and the one thing to do about
 * it. tfjs itself says little of this: its errors have no codes, and an engine that does not start is replaced silently.
 */
import { MarianaError } from '@mariana/core';

/** Why the backend could not start: `details.reason` of the `BACKEND_UNAVAILABLE` error. */
export type NodeGpuFailure =
  /** Neither `@tensorflow/tfjs-node-gpu` nor `@tensorflow/tfjs-node` is installed. */
  | 'package-missing'
  /** The package is installed, but its native addon was never built or downloaded. */
  | 'addon-missing'
  /** The addon is there and cannot be loaded: a shared library is missing, or it was built for another machine. */
  | 'addon-broken'
  /** The package failed while it was loaded, for a reason of its own. */
  | 'package-broken'
  /** This copy of TensorFlow.js has no engine `tensorflow`: it is not the one of tfjs-node. */
  | 'engine-missing'
  /** The engine failed to start; tfjs would go on with another one. */
  | 'engine-failed'
  /** tfjs computes on another engine than `tensorflow`, although that was asked for. */
  | 'fell-back'
  /** Node 23 and later have no `util.isNullOrUndefined`, which tfjs-node calls, and it cannot be put in place. */
  | 'node-util'
  /** The engine runs, but its first computations failed or were not in float32. */
  | 'does-not-compute'
  /** TensorFlow runs, but sees no CUDA device, and computing on the CPU was not allowed. */
  | 'no-gpu';

/** A `BACKEND_UNAVAILABLE` error that says `nodeGpu: problem`. */
export function unavailable(
  reason: NodeGpuFailure,
  problem: string,
  { cause, ...details }: { cause?: unknown; package?: string | undefined } = {},
): MarianaError {
  return new MarianaError('BACKEND_UNAVAILABLE', `nodeGpu: ${problem}`, { cause, details: { reason, ...details } });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
