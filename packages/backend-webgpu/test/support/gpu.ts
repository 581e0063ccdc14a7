/** The adapter that the tests of this package run on, or the reason why there is none. */
import { isMarianaError } from '@mariana/core';
import { findGpu } from '../../src/device/find-gpu.ts';
import { openDevice } from '../../src/device/open-device.ts';

/** Why tests of WebGPU cannot run here, or null if they can. Printed once a file. */
export const noGpu: string | null = await reason();

async function reason(): Promise<string | null> {
  try {
    const { device } = await openDevice(await findGpu(), {});
    device.destroy();
    return null;
  } catch (error) {
    if (!isMarianaError(error)) throw error;
    process.stderr.write(`skipped: ${error.message}\n`);
    return error.message;
  }
}
