/**
 * How fast the kernels are, one by one: `pnpm bench:kernels [--build relaxed|simd|scalar] [--threads 1,2] [--only NAME]`.
 *
 * Matrix-vector products read blocks of 512 x 1024 in random order out of more than a gigabyte, with one hand-over for
 * each, as routed experts are read in a decode step; "read" does the same and adds nothing but integers: the limit.
 * Every call is timed by itself. A rate is the one that a tenth of the calls reach, with the median beside it: where the
 * two are far apart, something else was running. GB/s count the stored weights with their scales.
 */
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import {
  activationShape,
  causalAttention,
  gemm,
  type Job,
  KERNEL,
  type KernelBuild,
  KernelEngine,
  latentAttention,
  matmulDense,
  matmulPacked,
  packedShape,
  packWeights,
  quantizeActivations,
  softmax,
  swiglu,
} from '../src/wasm/index.ts';

const { values: options } = parseArgs({
  options: {
    build: { type: 'string', default: 'relaxed' },
    threads: { type: 'string', default: '1,2' },
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '7' },
  },
});
const ROUNDS = Number(options.rounds);
const [ROWS, COLS] = [512, 1024];
/** Products in a round: as many as a decode step of bench-1b has. */
const PRODUCTS = 509;
const SET_BYTES = 1.2e9;

/**
 * Times `calls` calls, a few rounds over, each by itself; the rate that a tenth of them reach or exceed, and the one
 * that half do.
 */
function report(name: string, amount: number, unit: string, call: (i: number) => void, calls = 20): void {
  if (!name.includes(options.only)) return;
  const times: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    for (let i = 0; i < calls; i++) {
      const start = performance.now();
      call(i);
      // The first round warms up.
      if (round > 0) times.push((performance.now() - start) * 1e6);
    }
  }
  times.sort((p, q) => p - q);
  const rate = (share: number) => (amount / times[Math.floor(times.length * share)]!).toFixed(1);
  console.log(`${name.padEnd(48)}${rate(0.1).padStart(7)} ${unit}   (median ${rate(0.5)})`);
}

/** Numbers like weights: a bell with a deviation of 0.02. */
function weights(n: number): Float32Array {
  return Float32Array.from({ length: n }, () => (Math.random() + Math.random() + Math.random() - 1.5) * 0.04);
}

async function main(threads: number): Promise<void> {
  const engine = await KernelEngine.create({ build: options.build as KernelBuild, threads });
  await engine.pool.ready;
  const { arena, kernels } = engine;
  const job = engine.job();
  console.log(
    `\n${kernels.build}, dot '${kernels.relaxedDot}', ${threads} thread(s), load ${loadavg()[0]!.toFixed(2)}`,
  );

  const put = (v: Float32Array) => {
    const at = arena.alloc(v.byteLength);
    arena.f32.set(v, at / 4);
    return at;
  };
  const x = put(Float32Array.from({ length: 512 * 4096 }, () => Math.random() * 2 - 1));
  const y = arena.alloc(512 * 8192 * 4);
  const set = arena.alloc(SET_BYTES);
  const sample = put(weights(ROWS * COLS));

  /** The same matrix in many places, visited in random order. */
  const randomBlocks = (
    name: string,
    bytes: number,
    fill: (at: number) => void,
    product: (job: Job, at: number) => void,
  ) => {
    if (!name.includes(options.only)) return;
    const size = Math.ceil(bytes / 64) * 64;
    const count = Math.floor(SET_BYTES / size);
    fill(set);
    for (let i = 1; i < count; i++) arena.u8.copyWithin(set + i * size, set, set + bytes);
    const places = Array.from({ length: PRODUCTS }, () => set + Math.floor(Math.random() * count) * size);
    const call = (i: number) => {
      product(job, places[i]!);
      job.run();
    };
    report(name, bytes, 'GB/s', call, PRODUCTS);
  };

  randomBlocks(
    'read 512 KB',
    ROWS * COLS,
    () => undefined,
    (j, at) => {
      j.segment(KERNEL.readAll, 32, 800)
        .word(at)
        .word((ROWS * COLS) / 32)
        .word(y);
    },
  );
  const elements = ROWS * COLS;
  const dense = (format: 'f32' | 'bf16' | 'fp8', bytes: number, fill: (at: number) => void) => {
    for (const tokens of [1, 2, 4]) {
      randomBlocks(`matrix-vector ${format}, ${tokens} token(s)`, bytes, fill, (j, at) => {
        const scales = format === 'fp8' ? at + elements : undefined;
        matmulDense(j, { x, w: { format, at, rows: ROWS, cols: COLS, scales }, y, tokens });
      });
    }
  };
  dense('f32', elements * 4, (at) => arena.u8.copyWithin(at, sample, sample + elements * 4));
  dense('bf16', elements * 2, (at) => {
    for (let i = 0; i < elements; i++) arena.u16[at / 2 + i] = arena.u16[sample / 2 + 2 * i + 1]!;
  });
  dense('fp8', elements + 128, (at) => {
    for (let i = 0; i < elements; i++)
      arena.u8[at + i] = (Math.random() < 0.5 ? 128 : 0) + 40 + Math.floor(Math.random() * 60);
    arena.f32.fill(1e-3, (at + elements) / 4, (at + elements) / 4 + 32);
  });
  for (const format of ['int8', 'int4'] as const) {
    for (const bits of [8, 16] as const) {
      const shape = packedShape(kernels, format, ROWS, COLS);
      const at = (data: number) => ({ ...shape, data, scales: data + shape.dataBytes });
      const activations = activationShape(shape, bits);
      const records = arena.alloc(activations.recordBytes * 512);
      for (const tokens of [1, 4]) {
        quantizeActivations(job, { x, tokens, shape: activations, to: records });
        job.run();
        randomBlocks(
          `matrix-vector ${format} (${bits} bits), ${tokens} token(s)`,
          shape.dataBytes + shape.scaleBytes,
          (data) => {
            packWeights(job, at(data), 0, { format: 'f32', at: sample, rows: ROWS, cols: COLS });
            job.run();
          },
          (j, data) => matmulPacked(j, { x: records, shape: activations, w: at(data), y, tokens }),
        );
      }
      const tokens = 512;
      quantizeActivations(job, { x, tokens, shape: activations, to: records });
      job.run();
      packWeights(job, at(set), 0, { format: 'f32', at: sample, rows: ROWS, cols: COLS });
      job.run();
      for (const t of [64, 512]) {
        report(`matrix-matrix ${format} (${bits} bits), ${t} tokens`, elements * t, 'GMAC/s', () => {
          matmulPacked(job, { x: records, shape: activations, w: at(set), y, tokens: t });
          job.run();
        });
      }
      report(`pack f32 to ${format}`, elements, 'G/s', () => {
        packWeights(job, at(set), 0, { format: 'f32', at: sample, rows: ROWS, cols: COLS });
        job.run();
      });
      report(`quantise activations (${format}, ${bits} bits)`, 512 * COLS, 'G/s', () => {
        quantizeActivations(job, { x, tokens: 512, shape: activations, to: records });
        job.run();
      });
      arena.free(records);
    }
  }
  for (const format of ['f32', 'bf16', 'fp8'] as const) {
    arena.f32.fill(1e-3, set / 4, set / 4 + 1000);
    arena.u8.fill(56, set + 4096, set + 4096 + elements * 4);
    for (const tokens of [6, 64, 512]) {
      report(`matrix-matrix ${format}, ${tokens} tokens`, elements * tokens, 'GMAC/s', () => {
        const w = { format, at: set + 4096, rows: ROWS, cols: COLS, scales: set } as const;
        matmulDense(job, { x, w, y, tokens });
        job.run();
      });
    }
  }
  for (const [transposeA, transposeB] of [
    [false, false],
    [true, false],
  ] as const) {
    report(`gemm f32 512^3, transposed ${transposeA} ${transposeB}`, 512 ** 3, 'GMAC/s', () => {
      gemm(job, { a: x, b: x, c: y, m: 512, n: 512, k: 512, transposeA, transposeB });
      job.run();
    });
  }
  arena.i32.set(
    Array.from({ length: 2048 }, (_, i) => i),
    sample / 4,
  );
  for (const format of ['f32', 'bf16'] as const) {
    // 4096 rows of [512 | 64] by 16 heads: a layer of bench-1b.
    arena.u8.fill(0x3c, set, set + 4096 * 576 * 4);
    report(`absorbed attention, 4096 rows ${format}, 16 heads`, 4096 * 16 * (576 + 512), 'GMAC/s', () => {
      const cache = { pages: set, pageTable: sample, pageRows: 64, format };
      latentAttention(job, {
        qLatent: x,
        qRope: x,
        tokens: 1,
        heads: 16,
        latent: 512,
        rope: 64,
        ...cache,
        scale: 0.1,
        start: 4095,
        out: y,
      });
    });
  }
  report('causal attention, 512 tokens, 16 heads 192/128', ((512 * 513) / 2) * 16 * 320, 'GMAC/s', () => {
    const k = { kNope: x, kStride: 128, kHead: 0, kRope: x, v: x, vStride: 128, vHead: 0, value: 128 };
    causalAttention(job, { q: x, tokens: 512, heads: 16, nope: 128, rope: 64, ...k, scale: 0.1, start: 0, out: y });
    job.run();
  });
  report('SwiGLU', 64 * 2816, 'G/s', () => {
    swiglu(job, { gate: x, up: x, y, tokens: 64, width: 2816 });
    job.run();
  });
  report('softmax of 8192', 64 * 8192, 'G/s', () => {
    softmax(job, { x, y, tokens: 64, width: 8192 });
    job.run();
  });
  report('hand-over of an empty job, thousands a second', 1e6, '', () => {
    job.segment(KERNEL.readAll, 2, 1e6).word(x).word(64).word(y);
    job.run();
  });
  await engine.dispose();
}

console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.version}`);
for (const threads of options.threads.split(',')) await main(Number(threads));
