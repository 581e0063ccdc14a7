/**
 * Where WebGPU comes from: a page or worker has it as `navigator.gpu`; Node gets it from the npm package `webgpu`
 * (Dawn), an optional peer dependency that is loaded only when it is needed. Kernels and TensorFlow.js look for
 * `navigator.gpu` and for WebGPU's classes among the globals, so in Node they are put there.
 */
import { MarianaError } from '@mariana/core';

/** What the npm package `webgpu` exports. */
interface DawnModule {
  create(options: readonly string[]): GPU;
  readonly globals: Readonly<Record<string, unknown>>;
}

/** Not a literal where it is imported, so that bundlers for the browser do not look for it. */
const DAWN = 'webgpu';

/**
 * Memory of a workgroup starts as zeros. Dawn can leave that to the driver, and does where the driver offers it; a driver
 * in software then compiles a store for every element, which takes a second for a kernel of attention. Without this, Dawn
 * writes a loop.
 */
const ZEROS_BY_DRIVER = 'use_vulkan_zero_initialize_workgroup_memory_extension';

/**
 * The GPU of this program.
 *
 * @throws MarianaError `BACKEND_UNAVAILABLE` where there is none, saying what would bring one.
 */
export async function findGpu(): Promise<GPU> {
  const { navigator } = globalThis as { navigator?: Navigator & { gpu?: GPU } };
  if (navigator?.gpu) return navigator.gpu;
  if (globalThis.process?.versions?.node === undefined) {
    throw new MarianaError(
      'BACKEND_UNAVAILABLE',
      'webgpu: this browser has no navigator.gpu; it needs a secure page (https or localhost) and a browser with WebGPU',
    );
  }
  const gpu = await loadDawn();
  if (navigator === undefined) Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
  else Object.defineProperty(navigator, 'gpu', { value: gpu, configurable: true });
  return gpu;
}

async function loadDawn(): Promise<GPU> {
  let dawn: DawnModule;
  try {
    dawn = (await import(/* @vite-ignore */ DAWN)) as DawnModule;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new MarianaError(
      'BACKEND_UNAVAILABLE',
      `webgpu: Node has no WebGPU of its own and the package "webgpu" does not load; npm install webgpu (${message})`,
      { cause },
    );
  }
  for (const [name, value] of Object.entries(dawn.globals)) {
    if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  return dawn.create([`disable-dawn-features=${ZEROS_BY_DRIVER}`]);
}
