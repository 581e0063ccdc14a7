/** The backends that a browser has: which can be had, and why the others cannot. */
import { type Backend, MarianaError } from '@mariana/core';
import type { BackendChoice, BackendFacts, BackendName, BackendOffer } from './model-api.ts';

/** Asks the browser; starts nothing. */
export async function offeredBackends(): Promise<BackendOffer[]> {
  const threads = globalThis.crossOriginIsolated ? (navigator.hardwareConcurrency ?? 1) : 1;
  const cpu = typeof WebAssembly === 'undefined' ? 'this browser has no WebAssembly' : threadsNote(threads);
  return [{ name: 'cpu', available: typeof WebAssembly !== 'undefined', note: cpu }, await webgpuOffer()];
}

async function webgpuOffer(): Promise<BackendOffer> {
  const { gpu } = navigator;
  if (gpu === undefined) {
    const note = 'this browser has no WebGPU; a current Chrome, Edge, Firefox or Safari on a page served by HTTPS may have it';
    return { name: 'webgpu', available: false, note };
  }
  const adapter = await gpu.requestAdapter().catch(() => null);
  if (adapter === null) {
    const note = 'the browser has WebGPU but found no graphics processor for it; check that hardware acceleration is on';
    return { name: 'webgpu', available: false, note };
  }
  const { vendor, architecture, description } = adapter.info;
  const note = description || [vendor, architecture].filter(Boolean).join(' ') || 'graphics processor';
  return { name: 'webgpu', available: true, note };
}

/** What `auto` takes: a graphics processor where there is a true one, else the CPU. */
export async function chooseBackend(choice: BackendChoice): Promise<BackendName> {
  if (choice !== 'auto') return choice;
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return adapter && !adapter.info.isFallbackAdapter ? 'webgpu' : 'cpu';
}

/**
 * Starts a backend. Its code is fetched now and not before.
 *
 * @throws MarianaError `BACKEND_UNAVAILABLE`
 */
export async function startBackend(name: BackendName): Promise<{ backend: Backend; facts: BackendFacts }> {
  if (name === 'cpu') {
    const { cpu } = await import('@mariana/backend-cpu');
    const backend = await cpu();
    return { backend, facts: { name, note: threadsNote(backend.capabilities.threads) } };
  }
  const offer = await webgpuOffer();
  if (!offer.available) throw new MarianaError('BACKEND_UNAVAILABLE', `WebGPU: ${offer.note}`);
  const { webgpu } = await import('@mariana/backend-webgpu');
  return { backend: await webgpu(), facts: { name, note: offer.note } };
}

function threadsNote(threads: number): string {
  return threads === 1 ? '1 thread' : `${threads} threads`;
}
