/** The subjects of each group, and what they are asked. */
import type { ModelFiles } from './model-files.ts';
import type { Options } from './options.ts';
import type { Probe, Spec } from './run-group.ts';
import { node, PYTHON_ENV, program } from './subject-programs.ts';
import type { ProductAnswer } from './subjects/products.ts';

/** What the specs are made from. Peers that are not there are left out. */
export interface Parts {
  readonly options: Options;
  readonly model: ModelFiles;
  /** Folder with the npm packages. */
  readonly node: string | undefined;
  /** Python with llama.cpp. */
  readonly python: string | undefined;
  readonly chromium: string | undefined;
}

export const FORMATS = ['int8', 'int4', 'fp8', 'native'] as const;
type Format = (typeof FORMATS)[number];
export const LLAMA_CPP = 'llama.cpp q8_0';
export const NODE_LLAMA_CPP = 'node-llama-cpp q8_0';
export const WLLAMA = 'wllama q8_0';
export const LIMITS = 'bare kernels';
export const BROWSER_DECODE = 'decode of 32';
export const BROWSER_PREFILL = 'prefill of 64';
export const mariana = (format: string) => `mariana ${format}`;
const NARROW = 'mariana int8, 128-bit vectors';

/** Lengths of the past for which decoding is timed. */
export const PASTS = [0, 1024, 8192, 32768, 131072] as const;
export const CACHES = ['bf16', 'f32'] as const;
export const contextName = (dtype: string) => `mariana int8, ${dtype} cache`;
export const pastName = (length: number) => (length === 0 ? 'empty' : `${length / 1024}K`);

/** Shapes [rows, cols] of matrix-vector products: a square one, and those of the model. */
export const SHAPES = [
  [2048, 2048],
  [768, 1024],
  [3072, 768],
  [576, 1024],
  [1024, 2048],
  [512, 1024],
  [1024, 512],
  [2816, 1024],
  [8192, 1024],
] as const;
export const shapeName = ([rows, cols]: readonly [number, number]) => `${rows} x ${cols}`;

/** Token ids that look random and are the same in every run. */
function ids(count: number, seed: number): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // the generator of Numerical Recipes
    return 2 + ((state >>> 8) % 8190);
  });
}

const perSecond = (count: number) => (answer: { ms: number }) => count / (answer.ms / 1e3);

/** Prefill of 512, decoding of 64; shorter if it has to be quick. */
function speedProbes({ quick }: Options): Probe[] {
  const prompt = ids(32, 1);
  const decoded = ids(quick ? 16 : 64, 2);
  const read = ids(quick ? 128 : 512, 3);
  return [
    { metric: 'decode', request: { do: 'decode', prompt, ids: decoded }, value: perSecond(decoded.length) },
    { metric: 'prefill', request: { do: 'prefill', ids: read }, value: perSecond(read.length) },
  ];
}

function marianaSpecs({ model }: Parts, formats: readonly Format[], probes: readonly Probe[]) {
  return (threads: number): Spec[] =>
    formats.map((format) => ({
      name: mariana(format),
      threads,
      ...node('mariana-model.ts', model.checkpoints[format], format, threads),
      probes,
    }));
}

/** INT8 without 256-bit vectors: what a page has, and Node before 24. */
function narrowSpec({ model }: Parts, probes: readonly Probe[]) {
  return (threads: number): Spec => ({
    name: NARROW,
    threads,
    ...node('mariana-model.ts', model.checkpoints.int8, 'int8', threads, 128),
    probes,
  });
}

function llamaSpec({ model, python }: Parts, probes: readonly Probe[]) {
  return (threads: number): Spec[] => {
    if (python === undefined) return [];
    const args = [program('llama_cpp_native.py'), model.gguf, String(threads)];
    return [{ name: LLAMA_CPP, threads, command: python, args, env: PYTHON_ENV, probes }];
  };
}

function nodeLlamaSpec({ model, node: folder }: Parts, probes: readonly Probe[]) {
  return (threads: number): Spec[] => {
    if (folder === undefined) return [];
    return [{ name: NODE_LLAMA_CPP, threads, ...node('node-llama-cpp.ts', folder, model.gguf, threads), probes }];
  };
}

/** Mariana in INT8 beside its peers, with the machine's limits. */
export function modelSpecs(parts: Parts): Spec[] {
  const { threads } = parts.options;
  const probes = speedProbes(parts.options);
  const rate = (answer: { bytesPerSecond: number }) => answer.bytesPerSecond / 1e9;
  const limits: Probe[] = [
    { metric: 'read', request: { do: 'read' }, value: rate },
    { metric: 'product', request: { do: 'product' }, value: rate },
  ];
  const tokens = parts.options.quick ? 16 : 64;
  const generate: Probe = {
    metric: 'generate',
    request: { do: 'generate', prompt: ids(32, 1), tokens },
    value: perSecond(tokens),
  };
  return [
    ...threads.map((count) => ({
      name: LIMITS,
      threads: count,
      ...node('mariana-limits.ts', count),
      probes: limits,
    })),
    ...threads.flatMap(marianaSpecs(parts, ['int8'], [...probes, generate])),
    ...threads.flatMap(llamaSpec(parts, probes)),
    ...threads.flatMap(nodeLlamaSpec(parts, probes)),
    ...threads.map(narrowSpec(parts, probes)),
  ];
}

/** The formats of weights beside one another, and beside llama.cpp. */
export function formatSpecs(parts: Parts): Spec[] {
  const { threads } = parts.options;
  const probes = speedProbes(parts.options);
  return [...threads.flatMap(marianaSpecs(parts, FORMATS, probes)), ...threads.flatMap(llamaSpec(parts, probes))];
}

/** llama.cpp in a page. It is slow, so it gets a group of its own, with a shorter prompt. */
export function browserSpecs(parts: Parts): Spec[] {
  const { model, node: folder, chromium, options } = parts;
  if (folder === undefined || chromium === undefined) return [];
  const decoded = ids(options.quick ? 8 : 32, 2);
  const prompt = ids(32, 1);
  const read = ids(64, 3);
  const probes: Probe[] = [
    {
      metric: BROWSER_DECODE,
      request: { do: 'decode', prompt, ids: decoded },
      value: perSecond(decoded.length),
    },
    { metric: BROWSER_PREFILL, request: { do: 'prefill', ids: read }, value: perSecond(read.length) },
  ];
  return options.threads.flatMap((threads) => [
    ...marianaSpecs(parts, ['int8'], probes)(threads),
    { name: WLLAMA, threads, ...node('wllama.ts', folder, model.gguf, threads, chromium), probes },
  ]);
}

/** What it takes to get going, with as many threads as there are. */
export function loadSpecs(parts: Parts): Spec[] {
  const threads = Math.max(...parts.options.threads);
  const probes: Probe[] = [
    {
      metric: 'first answer',
      request: { do: 'prefill', ids: ids(32, 1) },
      value: (answer: { ms: number }) => answer.ms,
    },
    { metric: 'peak memory', request: { do: 'memory' }, value: (answer: { peakBytes: number }) => answer.peakBytes },
  ];
  return [
    ...marianaSpecs(parts, FORMATS, probes)(threads),
    ...llamaSpec(parts, probes)(threads),
    ...nodeLlamaSpec(parts, probes)(threads),
  ];
}

/** Decoding behind long pasts, empty ones included. */
export function contextSpecs({ options, model }: Parts): Spec[] {
  const { quick, threads } = options;
  const decoded = ids(quick ? 4 : 16, 2);
  return threads.flatMap((count) =>
    CACHES.map((dtype) => {
      const pasts = pastsOf(dtype, quick);
      return {
        name: contextName(dtype),
        threads: count,
        ...node('mariana-context.ts', model.checkpoints.int8, 'int8', count, dtype, Math.max(...pasts)),
        probes: pasts.map((past) => ({
          metric: pastName(past),
          request: { do: 'decode', past, ids: decoded },
          value: perSecond(decoded.length),
        })),
      };
    }),
  );
}

/** F32 rows of 128K tokens would take 3.6 GB, more than is left beside the weights in the memory that holds both. */
function pastsOf(dtype: (typeof CACHES)[number], quick: boolean): readonly number[] {
  const most = quick ? 8192 : dtype === 'f32' ? 32768 : 131072;
  return PASTS.filter((past) => past <= most);
}

/** Matrix-vector products, one thread, beside TensorFlow.js. */
export function productSpecs({ options, node: folder }: Parts): Spec[] {
  const probes: Probe[] = SHAPES.map((shape) => {
    const [rows, cols] = shape;
    return {
      metric: shapeName(shape),
      request: { do: 'product', rows, cols, ms: options.quick ? 50 : 300 },
      value: ({ products, ms }: ProductAnswer) => (products * rows * cols) / ms / 1e6,
    };
  });
  const specs: Spec[] = (['f32', 'int8'] as const).map((format) => ({
    name: mariana(format),
    threads: 1,
    ...node('mariana-products.ts', format),
    probes,
  }));
  if (folder === undefined) return specs;
  for (const engine of ['wasm', 'cpu']) {
    specs.push({ name: `tfjs-${engine}`, threads: 1, ...node('tfjs-products.ts', folder, engine), probes });
  }
  return specs;
}
