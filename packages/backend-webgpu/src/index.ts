export type { DeviceCounts } from './device/counters.ts';
export { type WebGpuOptions, webgpu } from './webgpu.ts';
export { WebGpuBackend, type WebGpuWeights } from './webgpu-backend.ts';
