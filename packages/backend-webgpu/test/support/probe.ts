/** A program of its own that says whether there is an adapter: it prints nothing if there is, else the reason. */
import { isMarianaError } from '@mariana/core';
import { findGpu } from '../../src/device/find-gpu.ts';
import { openDevice } from '../../src/device/open-device.ts';

try {
  const { device } = await openDevice(await findGpu(), {});
  device.destroy();
} catch (error) {
  if (!isMarianaError(error)) throw error;
  process.stdout.write(error.message);
}
process.exit(0);
