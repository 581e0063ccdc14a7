/** Opens a device with all that its adapter offers of what the kernels can use. */
import { MarianaError } from '@mariana/core';

/** A device that works, and what it can do. */
export interface OpenDevice {
  readonly device: GPUDevice;
  readonly adapter: AdapterFacts;
}

/** What a report or an error message says about the adapter. */
export interface AdapterFacts {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
}

/** Which adapter, where a machine has several. */
export interface AdapterChoice {
  readonly powerPreference?: GPUPowerPreference;
}

/** Features that kernels use where they are there. */
const FEATURES: readonly GPUFeatureName[] = ['shader-f16', 'timestamp-query'];

/** Limits whose default is below what adapters have. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupsPerDimension',
] as const;

/** @throws MarianaError `BACKEND_UNAVAILABLE` if there is no adapter, or it gives no device. */
export async function openDevice(
  gpu: GPU,
  { powerPreference = 'high-performance' }: AdapterChoice,
): Promise<OpenDevice> {
  const adapter = await gpu.requestAdapter({ powerPreference });
  if (adapter === null) {
    throw new MarianaError(
      'BACKEND_UNAVAILABLE',
      'webgpu: there is no GPU adapter here; install a driver (on Linux a Vulkan one) or use another backend',
    );
  }
  const { vendor, architecture, description } = adapter.info;
  try {
    const device = await adapter.requestDevice({
      requiredFeatures: FEATURES.filter((feature) => adapter.features.has(feature)),
      requiredLimits: Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])),
    });
    return { device, adapter: { vendor, architecture, description } };
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new MarianaError(
      'BACKEND_UNAVAILABLE',
      `webgpu: the adapter ${description || vendor || 'found'} gave no device (${message}); another program may hold it`,
      { cause, details: { vendor, architecture, description } },
    );
  }
}
