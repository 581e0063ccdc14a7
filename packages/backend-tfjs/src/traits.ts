/**
 * What the engines of tfjs do differently at the edges, found by asking them. No list of engines by name: the same
 * engine differs between versions, devices and drivers (tfjs-webgpu, for one, hands small tensors to tfjs-cpu).
 */
import { FLOAT_DTYPES, fromF32, MarianaError, toF32 } from '@mariana/core';
import { roundTo } from './ops/rounding.ts';
import type { TfModule, TfTensor } from './tf-module.ts';

/** Edges that an engine gets right by itself. What it does not is mended with more ops. */
export interface EngineTraits {
  /** `exp`, `log` and `sigmoid` of NaN are NaN, and `log` of 0 is minus infinity. */
  readonly functionsKeepEdges: boolean;
  /** `maximum`, `minimum` and `max` are NaN where an operand is. */
  readonly extremaKeepNaN: boolean;
  /** `topk` puts the first of equal infinities first. */
  readonly topKOrdersInfinities: boolean;
  /** `tensorScatterUpdate` leaves the tensor that it updates as it was. */
  readonly scatterUpdateCopies: boolean;
  /**
   * int32 is computed as integers. Where it is not (tfjs-webgpu reads it as float32), numbers beyond 2^24 lose their last
   * digits: there such operands are refused, and integers are transposed as floats.
   */
  readonly integersExact: boolean;
}

/** Trusts no engine: right everywhere, at a few more ops. */
export const CAUTIOUS: EngineTraits = {
  functionsKeepEdges: false,
  extremaKeepNaN: false,
  topKOrdersInfinities: false,
  scatterUpdateCopies: false,
  integersExact: false,
};

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
/** tfjs-webgpu computes small inputs on the host: each question is asked at both sizes. */
const WIDTHS = [8, 2048] as const;

/** Asks the active engine. */
export async function probeTraits(tf: TfModule): Promise<EngineTraits> {
  const answers = await Promise.all(
    WIDTHS.map(async (width) => ({
      functionsKeepEdges: await functionsKeepEdges(tf, width),
      extremaKeepNaN: await extremaKeepNaN(tf, width),
      topKOrdersInfinities: await topKOrdersInfinities(tf, width),
      scatterUpdateCopies: await scatterUpdateCopies(tf, width),
      integersExact: await integersExact(tf, width),
    })),
  );
  const all = (trait: keyof EngineTraits) => answers.every((answer) => answer[trait]);
  return {
    functionsKeepEdges: all('functionsKeepEdges'),
    extremaKeepNaN: all('extremaKeepNaN'),
    topKOrdersInfinities: all('topKOrdersInfinities'),
    scatterUpdateCopies: all('scatterUpdateCopies'),
    integersExact: all('integersExact'),
  };
}

/**
 * Checks that the engine computes in float32 as IEEE 754 says: products and sums rounded to nearest even, and the
 * formats of storage built on them. An engine in half precision fails here, instead of giving wrong numbers later.
 *
 * @throws MarianaError `BACKEND_UNAVAILABLE`
 */
export async function checkArithmetic(tf: TfModule, engine: string): Promise<void> {
  const values = Float32Array.from({ length: 2048 }, (_, i) => Math.sin(i) * 2 ** ((i % 41) - 20));
  for (const dtype of FLOAT_DTYPES) {
    const got = await valuesOf(tf, () => [roundTo(tf, tf.add(vector(tf, values), tf.scalar(0, 'float32')), dtype)]);
    const expected = toF32(dtype, fromF32(dtype, values));
    const at = expected.findIndex((value, i) => value !== got[0]![i]);
    if (at < 0) continue;
    throw new MarianaError(
      'BACKEND_UNAVAILABLE',
      `tfjs engine ${engine} does not compute in float32: ${values[at]} rounded to ${dtype} gave ${got[0]![at]} instead of ${expected[at]}; use another engine`,
    );
  }
}

async function functionsKeepEdges(tf: TfModule, width: number): Promise<boolean> {
  const x = filled(width, [nan, 0, nan]);
  const results = await valuesOf(tf, () => {
    const input = vector(tf, x);
    return [tf.exp(input), tf.sigmoid(input), tf.log(input)];
  });
  return results.every((y) => same(y[0], nan) && same(y.at(-1), nan)) && results[2]![1] === -inf;
}

async function extremaKeepNaN(tf: TfModule, width: number): Promise<boolean> {
  const [a, b] = [filled(width, [nan, 1, nan]), filled(width, [1, nan, nan])];
  const results = await valuesOf(tf, () => {
    const [left, right] = [vector(tf, a), vector(tf, b)];
    const rows = [left, right].map((x) => tf.max(tf.reshape(x, [1, width]), 1));
    return [tf.maximum(left, right), tf.minimum(left, right), ...rows];
  });
  const [maximum, minimum, ...rows] = results as [TfResult, TfResult, TfResult, TfResult];
  const elementwise = [maximum, minimum].every((y) => [y[0], y[1], y.at(-1)].every((value) => same(value, nan)));
  return elementwise && rows.every((y) => same(y[0], nan));
}

async function topKOrdersInfinities(tf: TfModule, width: number): Promise<boolean> {
  const rows = 16;
  const k = width / 2;
  // Three values in an order without a pattern, so that every row has many ties of each.
  const x = Float32Array.from({ length: rows * width }, (_, i) => [-inf, 1, inf][(i * i * 7 + (i >> 3)) % 3]!);
  const [indices] = (await valuesOf(tf, () => {
    return [tf.topk(tf.reshape(vector(tf, x), [rows, width]), k, true).indices];
  })) as [TfResult];
  for (let row = 0; row < rows; row++) {
    const value = (i: number) => x[row * width + i]!;
    const order = Array.from({ length: width }, (_, i) => i).sort((i, j) => Math.sign(value(j) - value(i)) || i - j);
    if (order.slice(0, k).some((index, i) => index !== indices[row * k + i])) return false;
  }
  return true;
}

async function scatterUpdateCopies(tf: TfModule, width: number): Promise<boolean> {
  const [before] = await valuesOf(tf, () => {
    const target = tf.tensor(new Float32Array(width), [width, 1], 'float32');
    const row = tf.tensor(Int32Array.of(1), [1, 1], 'int32');
    tf.tensorScatterUpdate(target, row, tf.tensor(Float32Array.of(1), [1, 1], 'float32'));
    return [target];
  });
  return before![1] === 0;
}

async function integersExact(tf: TfModule, width: number): Promise<boolean> {
  const [sums] = await valuesOf(tf, () => [
    tf.add(tf.tensor(new Int32Array(width).fill(2 ** 24), [width], 'int32'), tf.scalar(1, 'int32')),
  ]);
  return sums!.every((sum) => sum === 2 ** 24 + 1);
}

type TfResult = Awaited<ReturnType<TfTensor['data']>>;

const same = (value: number | undefined, expected: number) => Object.is(value, expected);

/** The first values, ones, and the last value. */
function filled(width: number, [first, second, last]: [number, number, number]): Float32Array {
  const x = new Float32Array(width).fill(1);
  x.set([first, second]);
  x[width - 1] = last;
  return x;
}

function vector(tf: TfModule, values: Float32Array): TfTensor {
  return tf.tensor(values, [values.length], 'float32');
}

/** Runs some ops, reads their results and leaves nothing behind. */
async function valuesOf(tf: TfModule, body: () => TfTensor[]): Promise<TfResult[]> {
  let results: TfTensor[] = [];
  tf.tidy(() => {
    results = body().map((tensor) => tf.keep(tensor));
    return results;
  });
  try {
    return await Promise.all(results.map((tensor) => tensor.data()));
  } finally {
    for (const tensor of results) tensor.dispose();
  }
}
