/**
 * Runs tests only where there is an adapter to run them on, and says in one line why not where there is none. Asked in a
 * process of its own before any test starts: drivers in software look for their libraries when a process starts.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';
import { vulkanVariables } from './vulkan.ts';

export const needsGpu: Plugin = {
  name: 'mariana-needs-gpu',
  config(config) {
    Object.assign(process.env, vulkanVariables());
    const probe = fileURLToPath(new URL('./probe.ts', import.meta.url));
    const reason = execFileSync(process.execPath, ['--conditions=@mariana/source', probe], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    if (reason === '') return;
    process.stderr.write(`tests on WebGPU are skipped: ${reason}\n`);
    const { test } = config as { test: { include: string[] } };
    test.include = ['test/without-gpu.test.ts'];
  },
};
