/**
 * Finds a Vulkan driver in software for the tests that run on WebGPU in Node. Debian's Chromium brings one (SwiftShader)
 * and the loader that it needs; a machine that has a driver of its own, or names one, keeps it.
 */
import { existsSync } from 'node:fs';

const CHROMIUM = '/usr/lib/chromium';
const DRIVER = `${CHROMIUM}/vk_swiftshader_icd.json`;

/**
 * Variables for the processes that run the tests. The loader reads them when a process starts, so they must be set by
 * its parent.
 */
export function vulkanVariables(): Record<string, string> {
  const { VK_ICD_FILENAMES: named, VK_DRIVER_FILES: files, LD_LIBRARY_PATH: path } = process.env;
  if (named !== undefined || files !== undefined || !existsSync(DRIVER)) return {};
  return { VK_ICD_FILENAMES: DRIVER, LD_LIBRARY_PATH: path ? `${path}:${CHROMIUM}` : CHROMIUM };
}
