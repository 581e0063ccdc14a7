/** The program in a dedicated worker: takes a function's name and arguments by message, and answers with its outcome. */
import { type Program, program } from './program.ts';

/** A call of the page. */
export interface Call {
  readonly id: number;
  readonly name: keyof Program;
  readonly args: readonly unknown[];
}

/** The answer to it. An error travels as text: not all that it carries can be copied. */
export type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: { readonly message: string; readonly stack: string } };

globalThis.addEventListener('message', async ({ data }: MessageEvent<Call>) => {
  const { id, name, args } = data;
  try {
    const run = program[name] as (...args: readonly unknown[]) => Promise<unknown>;
    answer({ id, value: await run(...args) });
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    answer({ id, error: { message: error.message, stack: error.stack ?? '' } });
  }
});

function answer(message: Answer): void {
  globalThis.postMessage(message);
}
