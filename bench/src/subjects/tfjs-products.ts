/**
 * TensorFlow.js' matrix-vector products, as its own dense layers have them: `matMul` with a kernel [in, out], which its
 * engines are faster with than with the transposed one. Arguments: the folder of the peers, and `wasm` or `cpu`.
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
  matMul(a: TfTensor, b: TfTensor): TfTensor;
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
  const weight = tf.tensor2d(randomNumbers(rows * cols), [cols, rows]);
  const x = tf.tensor2d(randomNumbers(cols), [1, cols]);
  const answer = await repeat(async () => {
    const y = tf.matMul(x, weight);
    await y.data();
    y.dispose();
  }, ms);
  weight.dispose();
  x.dispose();
  return answer;
}

await serve({ loadMs: performance.now() - started, about: `TensorFlow.js ${tf.version_core}, ${engine}` }, { product });
process.exit(0); // its engines keep the process alive
