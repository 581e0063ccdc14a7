/**
 * What the browser tests ask of the CPU backend, as functions over plain data: a page calls them directly or, through
 * `worker.ts`, in a worker. This file and all that it imports go through a bundler, as a user's program would.
 */
import { type ConformanceSuite, conformanceCases } from '@mariana/backend-conformance';
import { MarianaError } from '@mariana/core';
// By path: both packages test themselves with this one, and a dependency back would be a circle.
import { Golden, goldenCases, type OpenFixture } from '../../../goldens/src/index.ts';
import { Model } from '../../../runtime/src/index.ts';
import { type CpuBackend, type CpuOptions, cpu } from '../../src/index.ts';
import { FetchedFiles } from './fetched-files.ts';

/** Activations meet integer weights in 8 bits, with a scale for each 128. */
const ACTIVATIONS = { int8: { levels: 127, group: 128 }, int4: { levels: 127, group: 128 } };

/** The folders of the goldens lie at the root of the site. */
const openFixture: OpenFixture = async (folder) => {
  let files = folders.get(folder);
  if (files === undefined) {
    files = new FetchedFiles(new URL(`/${folder}/`, globalThis.location.href));
    folders.set(folder, files);
  }
  return files;
};

const folders = new Map<string, FetchedFiles>();
const suites = new Map<string, ConformanceSuite>();
const backends = new Map<string, Promise<CpuBackend>>();

function backendOf(options: CpuOptions): Promise<CpuBackend> {
  const key = JSON.stringify(options);
  let backend = backends.get(key);
  if (backend === undefined) {
    backend = cpu(options);
    backends.set(key, backend);
  }
  return backend;
}

function suiteOf(options: CpuOptions, numRuns: number): ConformanceSuite {
  const key = JSON.stringify([options, numRuns]);
  let suite = suites.get(key);
  if (suite === undefined) {
    const create = () => cpu(options);
    suite = conformanceCases({ name: key, create, numRuns, tolerance: { activations: ACTIVATIONS } });
    suites.set(key, suite);
  }
  return suite;
}

/** A test by its number, with what it is called. */
export interface Listed {
  readonly group: string;
  readonly name: string;
}

export const program = {
  /** Where this runs. */
  async environment(): Promise<{ page: boolean; isolated: boolean; sharedMemory: boolean; mayWait: boolean }> {
    let mayWait = false;
    if (typeof SharedArrayBuffer !== 'undefined') {
      try {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
        mayWait = true;
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
      }
    }
    return {
      page: 'document' in globalThis,
      isolated: globalThis.crossOriginIsolated,
      sharedMemory: typeof SharedArrayBuffer !== 'undefined',
      mayWait,
    };
  },

  /** What `cpu(options)` gives, or the code and message of the MarianaError that it throws. */
  async start(
    options: CpuOptions,
  ): Promise<{ build: string; threads: number; shared: boolean } | { code: string; message: string }> {
    try {
      const backend = await cpu(options);
      const { kernels, pool } = backend.engine;
      const facts = { build: kernels.build, threads: pool.threads, shared: kernels.shared };
      backend.dispose();
      return facts;
    } catch (error) {
      if (error instanceof MarianaError) return { code: error.code, message: error.message };
      throw error;
    }
  },

  /** The cases of the conformance suite. */
  async listConformance(): Promise<Listed[]> {
    return suiteOf({}, 0).cases.map(({ group, name }) => ({ group, name }));
  },

  /** Runs one case of the conformance suite. */
  async conformance(options: CpuOptions, numRuns: number, index: number): Promise<void> {
    await suiteOf(options, numRuns).cases[index]!.run();
  },

  /** The tests over the golden folders. */
  async listGoldens(): Promise<Listed[]> {
    return goldenCases(openFixture).map(({ folder, name }) => ({ group: folder, name }));
  },

  /** Runs one test over a golden folder, which it fetches. */
  async golden(options: CpuOptions, index: number): Promise<void> {
    await goldenCases(openFixture)[index]!.run(await backendOf(options));
  },

  /** Loads the model of a golden folder from its address with the runtime, and continues its first prompt greedily. */
  async generate(options: CpuOptions, folder: string): Promise<{ expected: number[]; ids: number[] }> {
    const golden = await Golden.open(folder, openFixture);
    const prompt = Array.from(await golden.integers('p0.input_ids'));
    const expected = Array.from(await golden.integers('p0.greedy_tokens'));
    await golden.close();
    using model = await Model.load(`/${folder}`, { backend: await backendOf(options) });
    using session = model.session();
    const ids: number[] = [];
    for await (const { id } of session.generate(prompt, { maxTokens: 16, temperature: 0, ignoreEos: true })) {
      ids.push(id);
    }
    return { expected, ids };
  },

  /** Gives everything back. */
  async release(): Promise<void> {
    for (const suite of suites.values()) await suite.dispose();
    suites.clear();
    for (const backend of backends.values()) (await backend).dispose();
    backends.clear();
  },
};

export type Program = typeof program;
