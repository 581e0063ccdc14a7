/** How each backend is tried. Packages are loaded only when their turn comes; those of GPUs may not be installed. */
import { type CpuOptions, cpu } from '@mariana/backend-cpu';
import type { Backend } from '@mariana/core';
import { type AdapterInfo, describeAdapter, isSoftware } from './adapter.ts';
import type { BackendName, Trial, Trials } from './choose.ts';

/** What all backends are told alike. */
export interface BackendSettings {
  readonly weights?: NonNullable<CpuOptions['weights']>;
  readonly threads?: number;
  readonly wideVectors?: boolean;
}

/** Imports a package that may not be there. */
export type Import = () => Promise<unknown>;

/** Where the packages come from. */
export interface Packages {
  readonly nodeGpu: Import;
  readonly webgpu: Import;
}

/** A variable, so that bundlers for the browser leave a package of Node alone. */
const NODE_GPU: string = '@mariana/backend-node-gpu';

const PACKAGES: Packages = {
  nodeGpu: () => import(/* @vite-ignore */ NODE_GPU),
  webgpu: () => import('@mariana/backend-webgpu'),
};

/** The candidates, the one that is fastest where it is there first. */
export function allTrials(settings: BackendSettings, packages: Packages = PACKAGES): Trials {
  return [
    ['node-gpu', () => tryNodeGpu(settings, packages.nodeGpu)],
    ['webgpu', () => tryWebGpu(settings, packages.webgpu)],
    ['cpu', () => tryCpu(settings)],
  ];
}

async function tryNodeGpu({ weights = 'native' }: BackendSettings, load: Import): Promise<Trial> {
  if (globalThis.process?.versions?.node === undefined) return { verdict: 'not-here', reason: 'it needs Node' };
  if (weights !== 'native' && weights !== 'f32') {
    return { verdict: 'unsuited', reason: `it holds every weight as F32, and ${weights} was asked for` };
  }
  const module = await installed('node-gpu', load);
  if (module === undefined) return notInstalled('node-gpu');
  const { nodeGpu } = module as { nodeGpu(options: { allowCpu: boolean }): Promise<Backend> };
  // TensorFlow's CPU kernels are no reason to leave ours.
  const backend = await nodeGpu({ allowCpu: false });
  return { verdict: 'chosen', reason: 'TensorFlow found a CUDA device', backend };
}

async function tryWebGpu({ weights }: BackendSettings, load: Import): Promise<Trial> {
  const module = await installed('webgpu', load);
  if (module === undefined) return notInstalled('webgpu');
  const { webgpu } = module as { webgpu(options: BackendSettings): Promise<Backend & { device: Device }> };
  const backend = await webgpu(weights === undefined ? {} : { weights });
  const info = backend.device.adapterInfo ?? {};
  if (!isSoftware(info)) return { verdict: 'chosen', reason: describeAdapter(info), backend };
  backend.dispose();
  return { verdict: 'software', reason: `its adapter is a program, no GPU: ${describeAdapter(info)}` };
}

/** What is looked at of a `GPUDevice`. */
interface Device {
  readonly adapterInfo?: AdapterInfo;
}

async function tryCpu(settings: BackendSettings): Promise<Trial> {
  const backend = await cpu(settings);
  const { threads } = backend.capabilities;
  return { verdict: 'chosen', reason: threads === 1 ? 'one thread' : `${threads} threads`, backend };
}

function notInstalled(name: BackendName): Trial {
  return { verdict: 'not-installed', reason: `npm install ${packageOf(name)} to have it` };
}

function packageOf(name: BackendName): string {
  return `@mariana/backend-${name}`;
}

/**
 * The package of a backend, or undefined where it is not installed. An import fails too where something that a package
 * needs is missing; that is thrown.
 */
async function installed(name: BackendName, load: Import): Promise<unknown> {
  try {
    return await load();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // Node says "Cannot find package 'x'", bundlers that they could not resolve "x".
    const missing = /(cannot|could not|failed to) (find|resolve|load)/i.test(message);
    if (missing && [`'${packageOf(name)}'`, `"${packageOf(name)}"`].some((quoted) => message.includes(quoted))) {
      return undefined;
    }
    throw error;
  }
}
