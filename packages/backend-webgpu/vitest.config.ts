import shared from '../../tooling/vitest.ts';
import { needsGpu } from './test/support/needs-gpu.ts';

export default {
  ...shared,
  plugins: [needsGpu],
  // A driver in software compiles each kernel for a CPU, which may be busy with other tests.
  test: { ...shared.test, testTimeout: 300_000, hookTimeout: 300_000 },
};
