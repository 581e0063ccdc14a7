/** The CPU backend: WebAssembly kernels, threads, packed weights. */
import { CpuBackend } from './cpu-backend.ts';
import { type CpuOptions, checkOptions } from './options.ts';
import { KernelEngine } from './wasm/index.ts';

export { CpuBackend } from './cpu-backend.ts';
export type { CpuOptions } from './options.ts';
export { canWidenVectors } from './wasm/wide-vectors.ts';

/**
 * Starts the CPU backend: compiles the kernels and starts the threads.
 *
 * @throws MarianaError `BACKEND_UNAVAILABLE` without WebAssembly, or if a thread cannot start; `INVALID_ARGUMENT`.
 */
export async function cpu(options: CpuOptions = {}): Promise<CpuBackend> {
  const checked = checkOptions(options);
  const { build, shared = typeof SharedArrayBuffer !== 'undefined', relaxedDot, arenaBytes, wideVectors } = options;
  const threads = options.threads ?? (shared ? (globalThis.navigator?.hardwareConcurrency ?? 1) : 1);
  const engine = await KernelEngine.create({
    build,
    shared,
    relaxedDot,
    wideVectors,
    threads,
    maximumBytes: arenaBytes,
  });
  try {
    await engine.pool.ready;
  } catch (error) {
    // Those that did start have nobody left to work for.
    await engine.dispose();
    throw error;
  }
  return new CpuBackend(engine, checked);
}
