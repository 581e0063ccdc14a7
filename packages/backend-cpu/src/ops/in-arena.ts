/** Work on a weight happens in the memory where the weight lies; activations go there and back if that is another one. */
import type { CpuBackend } from '../cpu-backend.ts';
import type { Arena } from '../wasm/index.ts';

/**
 * Runs `body` with the addresses of an input and an output in `arena`.
 *
 * @param input - Address in the first arena, and number of floats.
 * @param output - The same; written whole by `body`.
 */
export function inArena(
  backend: CpuBackend,
  arena: Arena,
  input: { at: number; floats: number },
  output: { at: number; floats: number },
  body: (input: number, output: number) => void,
): void {
  const home = backend.engine.arena;
  if (arena === home) {
    body(input.at, output.at);
    return;
  }
  const from = arena.alloc(4 * input.floats);
  const to = arena.alloc(4 * output.floats);
  try {
    arena.floats(from, input.floats).set(home.floats(input.at, input.floats));
    body(from, to);
    home.floats(output.at, output.floats).set(arena.floats(to, output.floats));
  } finally {
    arena.free(from);
    arena.free(to);
  }
}

/** Runs `body` with a temporary block of an arena. */
export function withScratch<Result>(arena: Arena, bytes: number, body: (at: number) => Result): Result {
  const at = arena.alloc(bytes);
  try {
    return body(at);
  } finally {
    arena.free(at);
  }
}
