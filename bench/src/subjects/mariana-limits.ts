/**
 * What this machine gives at most: a plain read of memory and the bare INT8 matrix-vector kernel, both over 512 KB
 * blocks in random order out of more than a gigabyte, with one hand-over to the threads for each block, as the experts
 * of a decode step are read. Argument: the number of threads.
 *
 * Kernels are no part of the backend's interface, so they are imported by their path.
 */
import {
  activationShape,
  KERNEL,
  KernelEngine,
  matmulPacked,
  packedShape,
  packWeights,
  quantizeActivations,
} from '../../../packages/backend-cpu/src/wasm/index.ts';
import { canWidenVectors } from '../../../packages/backend-cpu/src/wasm/wide-vectors.ts';
import { time } from '../machine.ts';
import { peakMemory, serve } from '../serve.ts';

const [ROWS, COLS] = [512, 1024];
const SET_BYTES = 1.2e9;
/** Blocks in a round: 267 MB, a token's worth of the model. */
const BLOCKS = 509;

const started = performance.now();
const engine = await KernelEngine.create({
  threads: Number(process.argv[2] ?? 1),
  wideVectors: canWidenVectors(),
});
await engine.pool.ready;
const { arena, kernels } = engine;
const job = engine.job();
const shape = packedShape(kernels, 'int8', ROWS, COLS);
const bytes = shape.dataBytes + shape.scaleBytes;
const size = Math.ceil(bytes / 64) * 64;
const count = Math.floor(SET_BYTES / size);
const set = arena.alloc(count * size);
const y = arena.alloc(ROWS * 4 + 1024);
const activations = activationShape(shape, 8);
const record = arena.alloc(activations.recordBytes);

const sample = arena.alloc(ROWS * COLS * 4);
arena.f32.set(
  Float32Array.from({ length: ROWS * COLS }, () => (Math.random() - 0.5) * 0.1),
  sample / 4,
);
quantizeActivations(job, { x: sample, tokens: 1, shape: activations, to: record });
job.run();
const matrix = (at: number) => ({ ...shape, data: at, scales: at + shape.dataBytes });
packWeights(job, matrix(set), 0, { format: 'f32', at: sample, rows: ROWS, cols: COLS });
job.run();
for (let i = 1; i < count; i++) arena.u8.copyWithin(set + i * size, set, set + bytes);

/** Runs something on every block of a round, and gives the rate in bytes a second. */
async function overBlocks(run: (at: number) => void, blockBytes: number) {
  const places = Array.from({ length: BLOCKS }, () => set + Math.floor(Math.random() * count) * size);
  const spent = await time(() => {
    for (const at of places) {
      run(at);
      job.run();
    }
  });
  return { ...spent, bytesPerSecond: (BLOCKS * blockBytes) / (spent.ms / 1e3) };
}

const read = () =>
  overBlocks((at) => {
    job
      .segment(KERNEL.readAll, 32, 800)
      .word(at)
      .word((ROWS * COLS) / 32)
      .word(y);
  }, ROWS * COLS);
const product = () =>
  overBlocks((at) => matmulPacked(job, { x: record, shape: activations, w: matrix(at), y, tokens: 1 }), bytes);

await read(); // the engine compiles a function better once it has run
await product();
await serve(
  { loadMs: performance.now() - started, about: `kernels, ${kernels.build}, dot '${kernels.relaxedDot}'` },
  { read, product, memory: peakMemory },
);
await engine.dispose();
