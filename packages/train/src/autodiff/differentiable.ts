/** Operations with a written-out gradient that also run on a backend which records nothing. */
import type { Backend, Tensor } from '@mariana/core';
import { type CustomOperation, RecordingBackend } from './recording-backend.ts';

/** `RecordingBackend.custom` where the backend records, else the forward pass alone. */
export function differentiable(
  backend: Backend,
  operation: string,
  inputs: readonly Tensor[],
  forward: (backend: Backend, inputs: readonly Tensor[]) => CustomOperation,
): Tensor {
  if (backend instanceof RecordingBackend) return backend.custom(operation, inputs, forward);
  return backend.scope(() => forward(backend, inputs).output);
}
