export type { DeviceCounts } from './device/counters.ts';
export { type WebGpuOptions, webgpu } from './webgpu.ts';
export { WebGpuBackend } from './webgpu-backend.ts';
