export { type NodeGpuOptions, nodeGpu } from './node-gpu.ts';
export { NodeGpuBackend } from './node-gpu-backend.ts';
export type { NodeGpuFailure } from './unavailable.ts';
