/**
 * Whether a WebGPU adapter is a GPU. Browsers and Vulkan loaders hand out programs that imitate one where there is none:
 * right, but slower than kernels that were written for a CPU.
 */

/** What an adapter says of itself (`GPUAdapterInfo`); every part may be empty. */
export interface AdapterInfo {
  readonly vendor?: string;
  readonly architecture?: string;
  readonly device?: string;
  readonly description?: string;
  readonly isFallbackAdapter?: boolean;
  /** Dawn's own: `discrete GPU`, `integrated GPU`, `CPU`. */
  readonly adapterType?: string;
}

/** SwiftShader (Chromium), llvmpipe alias lavapipe (Mesa), WARP alias Basic Render Driver (Windows). */
const IMITATIONS = /swiftshader|subzero|llvmpipe|lavapipe|softpipe|basic render|\bwarp\b|software/i;

export function isSoftware(info: AdapterInfo): boolean {
  if (info.isFallbackAdapter === true || info.adapterType?.toUpperCase() === 'CPU') return true;
  return [info.vendor, info.architecture, info.device, info.description].some((text) => IMITATIONS.test(text ?? ''));
}

/** A name for messages. */
export function describeAdapter({ vendor, architecture, device, description }: AdapterInfo): string {
  return description || [vendor, architecture, device].filter(Boolean).join(' ') || 'an adapter without a name';
}
