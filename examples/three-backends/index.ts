/** The same program on the backend that its argument names: on the CPU, on WebGPU, or in TensorFlow's C library. */
import type { Backend } from '@mariana/core';
import { Model } from '@mariana/runtime';

const BACKENDS: Record<string, () => Promise<Backend>> = {
  cpu: async () => (await import('@mariana/backend-cpu')).cpu(),
  webgpu: async () => (await import('@mariana/backend-webgpu')).webgpu(),
  'node-gpu': async () => (await import('@mariana/backend-node-gpu')).nodeGpu({ allowCpu: true }),
};

const { [process.argv[2] ?? 'cpu']: start } = BACKENDS;
if (start === undefined) throw new Error(`name one of ${Object.keys(BACKENDS).join(', ')}`);

using backend = await start();
const model = await Model.load('tiny', { backend });
const ids: number[] = [];
for await (const { id } of model.session().generate([1, 2, 3, 4], { maxTokens: 8, temperature: 0 })) ids.push(id);
console.log(ids.join(' '));
model.dispose();
