/** The choice: in the order that is promised, for reasons that are given, and never an imitation of a GPU. */
import { reference } from '@mariana/backend-reference';
import { type Backend, MarianaError } from '@mariana/core';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type AdapterInfo, isSoftware } from '../src/adapter.ts';
import { allTrials, type Import, type Packages } from '../src/candidates.ts';
import { type Candidate, choose, preferring } from '../src/choose.ts';
import { type AutoBackendOptions, autoBackend, type BackendChoice } from '../src/index.ts';

const verdicts = (candidates: readonly Candidate[]) => candidates.map(({ name, verdict }) => `${name} ${verdict}`);

/** Packages as they are where nothing is installed, and as they are with a device. */
const missing = (name: string): Import => {
  const error = new Error(`Cannot find package '@mariana/backend-${name}' imported from /app/index.js`);
  return () => Promise.reject(Object.assign(error, { code: 'ERR_MODULE_NOT_FOUND' }));
};
const noGpu = new MarianaError('BACKEND_UNAVAILABLE', 'nodeGpu: TensorFlow found no CUDA device');
const GPU: AdapterInfo = { vendor: 'nvidia', architecture: 'ampere', description: 'NVIDIA RTX A2000' };
const IMITATION: AdapterInfo = { vendor: 'google', architecture: 'swiftshader', description: 'SwiftShader Device' };

const nodeGpu =
  (start: (options: object) => Promise<Backend>): Import =>
  async () => ({ nodeGpu: start });
const webgpu =
  (adapterInfo: AdapterInfo, made: (Backend & { options?: object })[] = []): Import =>
  async () => ({
    webgpu: async (options: object) => {
      made.push(Object.assign(reference(), { device: { adapterInfo }, options }));
      return made.at(-1);
    },
  });

const chosen = async (packages: Partial<Packages>, options: Omit<AutoBackendOptions, 'onChoice'> = {}) => {
  const { prefer = [], ...settings } = options;
  const all = { nodeGpu: missing('node-gpu'), webgpu: missing('webgpu'), ...packages };
  const trials = allTrials({ threads: 1, ...settings }, all);
  const choice = await choose(preferring(trials, [prefer].flat()));
  choice.backend.dispose();
  return choice;
};

describe('what is chosen', () => {
  test('CUDA before WebGPU before the CPU', async () => {
    const cuda = nodeGpu(async () => reference());
    const { candidates } = await chosen({ nodeGpu: cuda, webgpu: webgpu(GPU) });
    expect(verdicts(candidates)).toEqual(['node-gpu chosen', 'webgpu not-needed', 'cpu not-needed']);
  });

  test('WebGPU where TensorFlow finds no CUDA device, and it is asked to compute on nothing else', async () => {
    const start = vi.fn().mockRejectedValue(noGpu);
    const { candidates, name } = await chosen({ nodeGpu: nodeGpu(start), webgpu: webgpu(GPU) });
    expect(start).toHaveBeenCalledWith({ allowCpu: false });
    expect(name).toBe('webgpu');
    expect(candidates.slice(0, 2)).toEqual([
      { name: 'node-gpu', verdict: 'unavailable', reason: noGpu.message },
      { name: 'webgpu', verdict: 'chosen', reason: 'NVIDIA RTX A2000' },
    ]);
  });

  test('the CPU where nothing is installed, with what to install', async () => {
    const { candidates, name, backend } = await chosen({});
    expect([name, backend.name]).toEqual(['cpu', 'cpu']);
    expect(verdicts(candidates)).toEqual(['node-gpu not-installed', 'webgpu not-installed', 'cpu chosen']);
    expect(candidates.map(({ reason }) => reason)).toEqual([
      'npm install @mariana/backend-node-gpu to have it',
      'npm install @mariana/backend-webgpu to have it',
      'one thread',
    ]);
  });

  test('the CPU before an imitation of a GPU, preferred or not, which is given back', async () => {
    for (const prefer of [[], ['webgpu']] as const) {
      const made: Backend[] = [];
      const packages = { webgpu: webgpu(IMITATION, made) };
      const dispose = vi.spyOn(Object.getPrototypeOf(reference()), 'dispose');
      const { candidates, name } = await chosen(packages, { prefer });
      expect(name).toBe('cpu');
      expect(dispose.mock.contexts[0]).toBe(made[0]);
      expect(candidates).toContainEqual({
        name: 'webgpu',
        verdict: 'software',
        reason: 'its adapter is a program, no GPU: SwiftShader Device',
      });
      vi.restoreAllMocks();
    }
  });

  test('what is preferred, if it is there', async () => {
    const packages = { nodeGpu: nodeGpu(async () => reference()), webgpu: webgpu(GPU) };
    const first = async (prefer: NonNullable<AutoBackendOptions['prefer']>, some: Partial<Packages> = packages) =>
      verdicts((await chosen(some, { prefer })).candidates);
    expect(await first('cpu')).toEqual(['cpu chosen', 'node-gpu not-needed', 'webgpu not-needed']);
    expect(await first(['webgpu', 'cpu'])).toEqual(['webgpu chosen', 'cpu not-needed', 'node-gpu not-needed']);
    expect(await first(['webgpu', 'cpu'], {})).toEqual(['webgpu not-installed', 'cpu chosen', 'node-gpu not-needed']);
  });

  test('one that holds weights as they were asked for', async () => {
    const made: (Backend & { options?: object })[] = [];
    const packages = { nodeGpu: nodeGpu(async () => reference()), webgpu: webgpu(GPU, made) };
    const { candidates } = await chosen(packages, { weights: 'int8' });
    expect(verdicts(candidates)).toEqual(['node-gpu unsuited', 'webgpu chosen', 'cpu not-needed']);
    expect(made[0]?.options).toEqual({ weights: 'int8' });
  });
});

describe('what is no reason to go on', () => {
  test.each([
    ['an error of the backend that is not about being there', new MarianaError('INVALID_ARGUMENT', 'webgpu: weights')],
    ['a crash', new TypeError('x is not a function')],
  ])('%s is thrown', async (_, error) => {
    await expect(chosen({ nodeGpu: nodeGpu(() => Promise.reject(error)) })).rejects.toBe(error);
  });

  test('a package that is installed and lacks what it needs', async () => {
    const broken: Import = () => Promise.reject(new Error("Cannot find package 'zod' imported from /app/index.js"));
    await expect(chosen({ webgpu: broken })).rejects.toThrow(/'zod'/);
  });

  test('nothing that computes is an error with all reasons', async () => {
    const failing = choose([['cpu', async () => ({ verdict: 'unavailable', reason: 'no WebAssembly' })]]);
    await expect(failing).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringMatching(/cpu: no WebAssembly/),
      details: { candidates: [{ name: 'cpu', verdict: 'unavailable' }] },
    });
  });
});

describe('autoBackend(), here', () => {
  afterEach(() => vi.restoreAllMocks());

  test('gives a backend that computes, and tells why it is this one', async () => {
    let choice: BackendChoice | undefined;
    using backend = await autoBackend({
      threads: 1,
      onChoice: (told) => {
        choice = told;
      },
    });
    expect(choice?.backend).toBe(backend);
    expect(choice?.candidates.map(({ name }) => name)).toEqual(['node-gpu', 'webgpu', 'cpu']);
    expect(choice?.candidates.filter(({ verdict }) => verdict === 'chosen').map(({ name }) => name)).toEqual([
      choice?.name,
    ]);
    for (const { reason } of choice?.candidates ?? []) expect(reason).toMatch(/^\S.*\S$/);
    // Its package is here, TensorFlow is not.
    expect(choice?.candidates[0]).toMatchObject({ verdict: 'unavailable', reason: expect.stringMatching(/tfjs-node/) });
    using x = backend.upload(Float32Array.of(1, 2), [2]);
    expect(await x.floats()).toEqual(Float32Array.of(1, 2));
  });

  test('refuses a name that is no backend', async () => {
    await expect(autoBackend({ prefer: 'cuda' as never })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('adapters', () => {
  test.each([
    IMITATION,
    { vendor: 'mesa', description: 'llvmpipe (LLVM 19.1.7, 256 bits)' },
    { vendor: 'microsoft', description: 'Microsoft Basic Render Driver' },
    { vendor: 'intel', isFallbackAdapter: true },
    { vendor: 'amd', adapterType: 'CPU' },
  ])('an imitation: %j', (info) => expect(isSoftware(info)).toBe(true));

  test.each([
    GPU,
    { vendor: 'apple', architecture: 'common-3' },
    { vendor: 'intel', architecture: 'gen-12lp', isFallbackAdapter: false, adapterType: 'integrated GPU' },
    {},
  ])('a GPU: %j', (info) => expect(isSoftware(info)).toBe(false));
});
