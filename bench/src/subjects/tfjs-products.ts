/**
 * TensorFlow.js' matrix-vector products, as its users write them: `matMul` and `data`. Its engines differ in whether a
 * kernel [in, out] or a transposed one is faster; each gets the better. Arguments: the folder of the peers, and `wasm`
 * or `cpu`.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { serve } from '../serve.ts';
import { type ProductRequest, randomNumbers, repeat } from './products.ts';

const [folder = '', engine = 'wasm'] = process.argv.slice(2);
const peer = createRequire(join(folder, 'package.json'));

/** The part of TensorFlow.js that is used here. */
interface Tf {
  readonly version_core: string;
  setBackend(name: string): Promise<boolean>;
  tensor2d(values: Float32Array, shape: [number, number]): TfTensor;
  matMul(a: TfTensor, b: TfTensor, transposeA: boolean, transposeB: boolean): TfTensor;
}
interface TfTensor {
  data(): Promise<unknown>;
  dispose(): void;
}

const started = performance.now();
const tf = peer('@tensorflow/tfjs-core') as Tf;
if (engine === 'wasm') {
  const wasm = peer('@tensorflow/tfjs-backend-wasm') as { setThreadsCount(threads: number): void };
  wasm.setThreadsCount(1);
} else {
  peer('@tensorflow/tfjs-backend-cpu');
}
if (!(await tf.setBackend(engine))) throw new Error(`TensorFlow.js does not start its engine ${engine}`);

async function product({ rows, cols, ms }: ProductRequest) {
  const straight = await productOf(rows, cols, false, ms / 2);
  const transposed = await productOf(rows, cols, true, ms / 2);
  return straight.products / straight.ms > transposed.products / transposed.ms ? straight : transposed;
}

async function productOf(rows: number, cols: number, transposed: boolean, ms: number) {
  const weight = tf.tensor2d(randomNumbers(rows * cols), transposed ? [rows, cols] : [cols, rows]);
  const x = tf.tensor2d(randomNumbers(cols), [1, cols]);
  const answer = await repeat(async () => {
    const y = tf.matMul(x, weight, false, transposed);
    await y.data();
    y.dispose();
  }, ms);
  weight.dispose();
  x.dispose();
  return answer;
}

await serve({ loadMs: performance.now() - started, about: `TensorFlow.js ${tf.version_core}, ${engine}` }, { product });
process.exit(0); // its engines keep the process alive
