/**
 * Errors as a person needs them: what happened (the error's own line), what is safe, and what to do. By their code, which
 * is part of the public API; what has none is shown as it is.
 */
import { isMarianaError } from '@mariana/core';

export interface Explanation {
  readonly happened: string;
  readonly safe: string;
  readonly todo: string;
  readonly code: string | null;
}

const NOTHING_LOST = 'Your text and the model in use are as they were.';

/** What is safe, where it is not everything. */
const SAFE: Readonly<Record<string, string>> = {
  BACKEND_FAILED: 'Your text is as it was.',
};

/** What to do, where the code says more than the message. */
const TODO: Readonly<Record<string, string>> = {
  FILE_NOT_FOUND: 'Check the address: it must lead to a folder with config.json, model.safetensors and tokenizer.json.',
  FETCH_FAILED:
    'Check that the address is right, that you are online, and that its host lets other pages read it (CORS); or download the folder and open it from disk.',
  SOURCE_TRUNCATED: 'Download the file again; it ends before its own header says that it does.',
  CHECKPOINT_CORRUPT: 'Download the file again, or remove the stored copy; it may have been cut short on its way.',
  OUT_OF_MEMORY: 'Choose a smaller model, close other tabs, or keep weights in INT8 or INT4.',
  BACKEND_UNAVAILABLE: 'Choose the CPU, which runs in every browser of today.',
  BACKEND_FAILED: 'Choose a backend again: the model is then loaded anew, from the stored copy where there is one.',
  CONTEXT_EXCEEDED: 'Shorten the text, or begin a new one.',
};

/** Whether the device that computed is gone, with all that was on it. */
export function isDeviceLost(error: unknown): boolean {
  return isMarianaError(error) && error.code === 'BACKEND_FAILED' && error.details?.lost === true;
}

export function explain(error: unknown): Explanation {
  if (isMarianaError(error) && isDeviceLost(error)) {
    return {
      happened:
        'The graphics processor stopped answering (“device lost”): its driver was restarted, or it was taken away or overtaxed. What was in its memory is gone.',
      safe: SAFE.BACKEND_FAILED!,
      todo: 'Load the model again and go on with the text, or choose the CPU in Generate.',
      code: error.code,
    };
  }
  if (isMarianaError(error)) {
    return {
      happened: sentence(error.message),
      safe: SAFE[error.code] ?? NOTHING_LOST,
      todo: TODO[error.code] ?? '',
      code: error.code,
    };
  }
  if (error instanceof DOMException && error.name === 'QuotaExceededError') {
    return {
      happened: 'This browser has no room left for the page to store what it downloads.',
      safe: 'The model still runs from memory; only the copy for the next visit could not be kept.',
      todo: 'Free disk space, or remove stored models below.',
      code: null,
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { happened: sentence(message), safe: NOTHING_LOST, todo: 'Reload the page if it goes on.', code: null };
}

/** Whether something ended because it was cancelled, which is no error to anyone. */
export function isCancelled(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

function sentence(text: string): string {
  const trimmed = text.trim();
  return /[.!?…]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}
