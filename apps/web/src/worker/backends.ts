/** The backends that a browser has: which can be had, and why the others cannot. */
import { type Backend, MarianaError } from '@mariana/core';
import type { BackendChoice, BackendFacts, BackendOffer } from './model-api.ts';

/** Asks the browser; starts nothing. */
export async function offeredBackends(): Promise<BackendOffer[]> {
  const threads = globalThis.crossOriginIsolated ? (navigator.hardwareConcurrency ?? 1) : 1;
  const cpu = typeof WebAssembly === 'undefined' ? 'this browser has no WebAssembly' : threadsNote(threads);
  return [{ name: 'cpu', available: typeof WebAssembly !== 'undefined', note: cpu }, await webgpuOffer()];
}

async function webgpuOffer(): Promise<BackendOffer> {
  const { gpu } = navigator;
  if (gpu === undefined) {
    const note =
      'this browser has no WebGPU; a current Chrome, Edge, Firefox or Safari on a page served by HTTPS may have it';
    return { name: 'webgpu', available: false, note };
  }
  const adapter = await gpu.requestAdapter().catch(() => null);
  if (adapter === null) {
    const note =
      'the browser has WebGPU but found no graphics processor for it; check that hardware acceleration is on';
    return { name: 'webgpu', available: false, note };
  }
  const { vendor, architecture, description } = adapter.info;
  const note = description || [vendor, architecture].filter(Boolean).join(' ') || 'graphics processor';
  return { name: 'webgpu', available: true, note };
}

/**
 * Starts a backend. Its code is fetched now and not before. `auto` leaves the choice to `autoBackend`, unless there is
 * only one: its code is not fetched to find that out.
 *
 * @throws MarianaError `BACKEND_UNAVAILABLE`
 */
export async function startBackend(choice: BackendChoice): Promise<{ backend: Backend; facts: BackendFacts }> {
  const gpu = choice === 'cpu' ? null : await webgpuOffer();
  if (choice === 'webgpu') {
    if (!gpu?.available) throw new MarianaError('BACKEND_UNAVAILABLE', `WebGPU: ${gpu?.note}`);
    const { webgpu } = await import('@mariana/backend-webgpu');
    return { backend: await webgpu(), facts: { name: 'webgpu', note: gpu.note } };
  }
  if (choice === 'auto' && gpu?.available) {
    const { autoBackend } = await import('@mariana/auto-backend');
    let facts: BackendFacts = { name: 'cpu', note: '' };
    const backend = await autoBackend({
      onChoice: ({ name, candidates }) => {
        const { reason = '' } = candidates.find(({ verdict }) => verdict === 'chosen') ?? {};
        facts = { name: name === 'webgpu' ? 'webgpu' : 'cpu', note: reason };
      },
    });
    return { backend, facts };
  }
  const { cpu } = await import('@mariana/backend-cpu');
  const backend = await cpu();
  return { backend, facts: { name: 'cpu', note: threadsNote(backend.capabilities.threads) } };
}

function threadsNote(threads: number): string {
  return threads === 1 ? '1 thread' : `${threads} threads`;
}
