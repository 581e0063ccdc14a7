/** Each way in which TensorFlow can be missing is an error of its own, and nothing computes on another engine. */
import type { TfModule } from '@mariana/backend-tfjs';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type NodeGpuFailure, type NodeGpuOptions, nodeGpu } from '../src/index.ts';
import { type ImportPackage, loadPackage } from '../src/load-package.ts';
import { startNodeGpu } from '../src/node-gpu.ts';
import { restoreNodeUtil } from '../src/node-util.ts';

const GPU = '@tensorflow/tfjs-node-gpu';
const PLAIN = '@tensorflow/tfjs-node';

const unavailable = (reason: NodeGpuFailure, message: RegExp) =>
  expect.objectContaining({
    name: 'MarianaError',
    code: 'BACKEND_UNAVAILABLE',
    message: expect.stringMatching(message),
    details: expect.objectContaining({ reason }),
  });

/** How Node says that a package is not there, and what else is wrong with one. */
const missing = (name: string) =>
  Object.assign(new Error(`Cannot find package '${name}' imported from /app/index.js`), {
    code: 'ERR_MODULE_NOT_FOUND',
  });
const noAddon = new Error(
  'The Node.js native addon module (tfjs_binding.node) can not be found at path: /app/tfjs_binding.node. \n' +
    "Please run command 'npm rebuild @tensorflow/tfjs-node-gpu --build-addon-from-source' to rebuild the native addon module.",
);
const noLibrary = Object.assign(new Error('libtensorflow.so.2: cannot open shared object file'), {
  code: 'ERR_DLOPEN_FAILED',
});

/** A package manager's view of the packages: a module, or the error that importing it throws. */
const installed =
  (packages: Readonly<Record<string, unknown>>): ImportPackage =>
  async (name) => {
    const found = packages[name] ?? missing(name);
    if (found instanceof Error) throw found;
    return found;
  };

afterEach(async () => {
  vi.restoreAllMocks();
  if (tf.findBackendFactory('tensorflow') !== null) tf.removeBackend('tensorflow');
  await tf.setBackend('cpu');
});

describe('loading the package', () => {
  test('neither package is installed, as here', async () => {
    await expect(nodeGpu()).rejects.toEqual(unavailable('package-missing', /npm install @tensorflow\/tfjs-node-gpu/));
  });

  test.each([
    ['addon-missing', noAddon, /without its native addon.*npm rebuild @tensorflow\/tfjs-node-gpu/],
    ['addon-broken', noLibrary, /cannot be loaded \(libtensorflow\.so\.2/],
    ['package-broken', new TypeError('x is not a function'), /failed while it was loaded \(x is not/],
    ['package-broken', { default: { version: '5' } }, /is no TensorFlow\.js/],
    // Something that the package needs is missing, not the package.
    ['package-broken', missing('@mapbox/node-pre-gyp'), /Cannot find package '@mapbox/],
  ] as const)(
    '%s: is said, with its cause, and the other package is not taken instead',
    async (reason, gpu, message) => {
      const load = installed({ [GPU]: gpu, [PLAIN]: { default: tf } });
      const error = await loadPackage(load).catch((error: unknown) => error);
      expect(error).toEqual(unavailable(reason, message));
      expect(error).toMatchObject({ details: { package: GPU } });
      if (gpu instanceof Error) expect((error as Error).cause).toBe(gpu);
    },
  );

  test('takes plain tfjs-node where only that is installed, however its absence is worded', async () => {
    const plain = { default: { ...tf } };
    const wordings = [
      missing(GPU),
      new Error(`Cannot find module '${GPU}'
Require stack:
- /app/index.js`),
      new Error(`Could not resolve "${GPU}" imported by "@mariana/backend-node-gpu".`),
    ];
    for (const wording of wordings) {
      const loaded = await loadPackage(installed({ [GPU]: wording, [PLAIN]: plain }));
      expect(loaded).toEqual({ name: PLAIN, tf: plain.default });
    }
    const asModule = await loadPackage(installed({ [GPU]: tf }));
    expect(asModule.tf.setBackend).toBe(tf.setBackend);
  });
});

describe('starting the engine', () => {
  /** tfjs-cpu under the name of TensorFlow: right in every respect but that it is not the real one. */
  const standIn = (engine: { isUsingGpuDevice?: boolean; isGPUPackage?: boolean }) => {
    const cpu = tf.findBackendFactory('cpu') as () => tf.KernelBackend;
    const kernels = tf.getKernelsForBackend('cpu');
    tf.registerBackend('tensorflow', () => Object.assign(cpu(), engine));
    for (const kernel of kernels) {
      if (tf.getKernel(kernel.kernelName, 'tensorflow') === undefined) {
        tf.registerKernel({ ...kernel, backendName: 'tensorflow' });
      }
    }
  };
  const start = (options: NodeGpuOptions, packaged: object = tf) =>
    startNodeGpu(options, async () => ({ name: GPU, tf: packaged as TfModule }));

  test('a TensorFlow.js without the engine', async () => {
    await expect(nodeGpu({ tf })).rejects.toEqual(unavailable('engine-missing', /no engine "tensorflow"/));
  });

  test('an engine that does not start, with the cause that tfjs only prints', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {});
    const cause = new Error('TF_NewContext failed');
    tf.registerBackend('tensorflow', () => {
      throw cause;
    });
    const error = await nodeGpu({ tf }).catch((error: unknown) => error);
    expect(error).toEqual(unavailable('engine-failed', /did not start \(TF_NewContext failed\)/));
    expect((error as Error).cause).toBe(cause);
  });

  test('an engine that tfjs replaced', async () => {
    standIn({ isUsingGpuDevice: true });
    const falling = { ...tf, setBackend: async () => true, getBackend: () => 'cpu' };
    await expect(start({}, falling)).rejects.toEqual(unavailable('fell-back', /computes on cpu/));
  });

  test('an engine that cannot compute', async () => {
    standIn({ isUsingGpuDevice: true });
    const cause = new TypeError('(0 , util_1.isNullOrUndefined) is not a function');
    const clipByValue = () => {
      throw cause;
    };
    const failing = start({}, { ...tf, clipByValue });
    await expect(failing).rejects.toEqual(unavailable('does-not-compute', /first computation .*isNullOrUndefined/));
  });

  test("the GPU's package without a GPU is refused, unless the CPU is allowed", async () => {
    standIn({ isUsingGpuDevice: false, isGPUPackage: true });
    await expect(start({})).rejects.toEqual(unavailable('no-gpu', /no CUDA device.*allowCpu: true/));
    const backend = await start({ allowCpu: true });
    expect([backend.name, backend.device, backend.engine]).toEqual(['node-cpu', 'cpu', 'tensorflow']);
  });

  test('plain tfjs-node computes on the CPU, unless that is not allowed', async () => {
    standIn({ isUsingGpuDevice: false, isGPUPackage: false });
    expect(await start({})).toMatchObject({ name: 'node-cpu', device: 'cpu' });
    await expect(start({ allowCpu: false })).rejects.toEqual(unavailable('no-gpu', /no CUDA device/));
  });

  test('on a GPU it says so, and computes', async () => {
    standIn({ isUsingGpuDevice: true, isGPUPackage: true });
    const backend = await start({});
    expect([backend.name, backend.device]).toEqual(['node-gpu', 'gpu']);
    using x = backend.upload(Float32Array.of(1, 2), [2]);
    using y = backend.binary('add', x, x);
    expect(await y.floats()).toEqual(Float32Array.of(2, 4));
  });
});

describe('node:util', () => {
  test('gets back what Node 23 removed, and keeps what it has', () => {
    const own = () => true;
    const target: Record<string, unknown> = { isArray: own };
    restoreNodeUtil(target);
    expect(target.isArray).toBe(own);
    const isNullOrUndefined = target.isNullOrUndefined as (value: unknown) => boolean;
    expect([undefined, null, 0, '', false].map(isNullOrUndefined)).toEqual([true, true, false, false, false]);
    expect(Object.keys(target)).toEqual(['isArray']);
  });

  test('that cannot be changed is an error, not a crash in some later operation', () => {
    expect(() => restoreNodeUtil(Object.freeze({}))).toThrow(
      unavailable('node-util', /util\.isNullOrUndefined.*Node 22/),
    );
  });
});
