/**
 * What goes wrong on a device comes to light later than the call that caused it, as an event and not as an exception.
 * This is where such events are kept until a call can throw them: the next operation, or the read that waits for the
 * result. A device that failed once is not trusted again: whatever it computed since may be garbage.
 */
import { MarianaError } from '@mariana/core';

export class Failures {
  #first: MarianaError | undefined;
  /** Whether `destroy` was asked for, so that the loss of the device is no failure. */
  #closing = false;

  /** Starts listening to a device. */
  constructor(device: GPUDevice) {
    device.addEventListener('uncapturederror', (event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      // Where nobody listens, Chromium would write to the console as well.
      event.preventDefault();
      this.note(failureOf(error));
    });
    void device.lost.then(({ reason, message }) => {
      if (this.#closing) return;
      this.#first = new MarianaError(
        'BACKEND_FAILED',
        `webgpu: the device was lost (${message || reason}); make another backend, load the model there and give the ` +
          'session its tokens again',
        { details: { lost: true, reason } },
      );
    });
  }

  /** The first failure, if there was one. */
  get first(): MarianaError | undefined {
    return this.#first;
  }

  /** Keeps the first failure; those after it are its consequences. */
  note(error: MarianaError): void {
    this.#first ??= error;
  }

  /** The device goes because it is no longer needed. */
  close(): void {
    this.#closing = true;
  }

  /** @throws MarianaError the first failure, if there was one. */
  check(): void {
    if (this.#closing) throw new MarianaError('BACKEND_FAILED', 'webgpu: this backend was disposed; make another');
    if (this.#first !== undefined) throw this.#first;
  }
}

/** A device error as a `MarianaError`; `operation` is what was being done, if that is known. */
export function failureOf(error: GPUError, operation?: string): MarianaError {
  const where = operation === undefined ? 'webgpu' : `webgpu: ${operation}`;
  // By the name of the class: it is not among the globals everywhere.
  if (error.constructor.name === 'GPUOutOfMemoryError') {
    return new MarianaError('OUT_OF_MEMORY', `${where}: the device has no memory left (${error.message})`, {
      cause: error,
    });
  }
  return new MarianaError('BACKEND_FAILED', `${where}: the device reported: ${error.message}`, { cause: error });
}
