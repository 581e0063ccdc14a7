/** Gradients of composites, and cross-entropy with its own, against their formulas in float64. */
import fc from 'fast-check';
import { axis, valueSeed } from '../arbitraries.ts';
import { type CaseDefinition, example, property } from '../conformance-case.ts';
import { randomFrom, reals } from '../random.ts';
import { floorOf } from '../tolerance.ts';
import type { Workbench } from '../workbench.ts';

const GROUP = 'gradients';

/**
 * Share of the sum of magnitudes by which a result may be off: above what a chain of float32 roundings, a sum of some
 * hundred terms and a device's exponential make, and far below what a wrong formula does.
 */
const SHARE = 2 ** -15;

/** Exact values, and of each the sum of the magnitudes that it is made of. */
class Sums {
  readonly values: Float64Array;
  readonly magnitudes: Float64Array;

  constructor(length: number) {
    this.values = new Float64Array(length);
    this.magnitudes = new Float64Array(length);
  }

  add(at: number, value: number, magnitude = Math.abs(value)): void {
    this.values[at]! += value;
    this.magnitudes[at]! += magnitude;
  }

  expectation(bench: Workbench, shape: readonly number[]) {
    const bound = (i: number) => SHARE * this.magnitudes[i]! + floorOf(bench.tolerance);
    return { shape, values: this.values, bound };
  }
}

async function expectSwiglu(bench: Workbench, shape: readonly number[], seed: number): Promise<void> {
  const random = randomFrom(seed);
  const size = shape.reduce((product, axis) => product * axis, 1);
  const [dy, gate, up] = [reals(random, size, -2, 2), reals(random, size, -5, 5), reals(random, size, -2, 2)];
  const [dGate, dUp] = [new Sums(size), new Sums(size)];
  for (let i = 0; i < size; i++) {
    const [d, g, u] = [dy[i]!, gate[i]!, up[i]!];
    const s = 1 / (1 + Math.exp(-g));
    dGate.add(i, d * u * (s + g * s * (1 - s)), Math.abs(d * u) * s * (1 + 2 * Math.abs(g)));
    dUp.add(i, d * g * s);
  }
  const operands = [dy, gate, up].map((values) => bench.tensor(values, shape));
  const gradients = bench.backend.swigluGradients(operands[0]!, operands[1]!, operands[2]!);
  await bench.expect(gradients.gate, dGate.expectation(bench, shape));
  await bench.expect(gradients.up, dUp.expectation(bench, shape));
}

async function expectRmsNorm(bench: Workbench, rows: number, width: number, seed: number): Promise<void> {
  const random = randomFrom(seed);
  const [dy, x, w] = [
    reals(random, rows * width, -2, 2),
    reals(random, rows * width, -3, 3),
    reals(random, width, -2, 2),
  ];
  const [dx, dw] = [new Sums(rows * width), new Sums(width)];
  const epsilon = 1e-3;
  for (let row = 0; row < rows; row++) {
    const at = (i: number) => row * width + i;
    let [power, along, size] = [0, 0, 0];
    for (let i = 0; i < width; i++) power += x[at(i)]! ** 2 / width;
    const r = 1 / Math.sqrt(power + epsilon);
    for (let i = 0; i < width; i++) {
      const term = (dy[at(i)]! * x[at(i)]! * r * w[i]!) / width;
      along += term;
      size += Math.abs(term);
      dw.add(i, dy[at(i)]! * x[at(i)]! * r);
    }
    for (let i = 0; i < width; i++) {
      const [direct, n] = [dy[at(i)]! * w[i]!, x[at(i)]! * r];
      dx.add(at(i), r * (direct - n * along), r * (Math.abs(direct) + Math.abs(n) * size));
    }
  }
  const operands = [dy, x].map((values) => bench.tensor(values, [rows, width]));
  const gradients = bench.backend.rmsNormGradients(operands[0]!, operands[1]!, bench.tensor(w, [width]), epsilon);
  await bench.expect(gradients.x, dx.expectation(bench, [rows, width]));
  await bench.expect(gradients.weight, dw.expectation(bench, [width]));
}

async function expectCrossEntropy(bench: Workbench, rows: number, width: number, seed: number): Promise<void> {
  const random = randomFrom(seed);
  const [dy, x] = [reals(random, rows, -2, 2), reals(random, rows * width, -8, 8)];
  const targets = Int32Array.from(reals(random, rows, 0, 1), (share) => Math.min(width - 1, Math.floor(share * width)));
  const [losses, norms, dx] = [new Sums(rows), new Sums(rows), new Sums(rows * width)];
  for (let row = 0; row < rows; row++) {
    const logits = x.subarray(row * width, (row + 1) * width);
    const norm = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    const target = logits[targets[row]!]!;
    norms.add(row, norm, 8 + Math.abs(norm));
    losses.add(row, norm - target, 8 + Math.abs(norm) + Math.abs(target));
    for (let i = 0; i < width; i++) {
      const [p, hit] = [Math.exp(logits[i]! - norm), i === targets[row] ? 1 : 0];
      dx.add(row * width + i, dy[row]! * (p - hit), Math.abs(dy[row]!) * (p + hit));
    }
  }
  const logits = bench.tensor(x, [rows, width]);
  const places = bench.tensor(targets, [rows]);
  const result = bench.backend.crossEntropy(logits, places);
  bench.hold(result.losses);
  await bench.expect(result.normalizers, norms.expectation(bench, [rows]));
  await bench.expect(result.losses, losses.expectation(bench, [rows]));
  const rounded = bench.tensor(Float32Array.from(norms.values), [rows]);
  const gradient = bench.backend.crossEntropyGradients(bench.tensor(dy, [rows]), logits, places, rounded);
  await bench.expect(gradient, dx.expectation(bench, [rows, width]));
}

interface AttentionExample {
  readonly batch: number;
  readonly queries: number;
  /** Keys before the first query. */
  readonly start: number;
  /** Keys after the last query. */
  readonly after?: number;
  readonly heads: number;
  readonly width: number;
  readonly value: number;
  readonly seed: number;
}

async function expectAttention(bench: Workbench, one: AttentionExample): Promise<void> {
  const { batch, queries, start, after = 0, heads, width, value, seed } = one;
  const keys = start + queries + after;
  const random = randomFrom(seed);
  const shapes = {
    q: [batch, queries, heads, width],
    k: [batch, keys, heads, width],
    v: [batch, keys, heads, value],
    y: [batch, queries, heads, value],
  };
  const fill = ([b, rows, h, size]: readonly number[]) => reals(random, b! * rows! * h! * size!, -1, 1);
  const [q, k, v, dy] = [fill(shapes.q), fill(shapes.k), fill(shapes.v), fill(shapes.y)];
  const [dq, dk, dv, output] = [new Sums(q.length), new Sums(k.length), new Sums(v.length), new Sums(dy.length)];
  const scale = 0.7;
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      const ofQ = (i: number) => ((b * queries + i) * heads + h) * width;
      const ofK = (j: number) => ((b * keys + j) * heads + h) * width;
      const ofV = (j: number) => ((b * keys + j) * heads + h) * value;
      const ofY = (i: number) => ((b * queries + i) * heads + h) * value;
      const dot = (x: Float32Array, from: number, y: Float32Array, to: number, size: number) => {
        let [sum, magnitude] = [0, 0];
        for (let c = 0; c < size; c++) {
          sum += x[from + c]! * y[to + c]!;
          magnitude += Math.abs(x[from + c]! * y[to + c]!);
        }
        return [sum, magnitude] as const;
      };
      for (let i = 0; i < queries; i++) {
        const seen = start + i + 1;
        const weights = Array.from({ length: seen }, (_, j) => Math.exp(scale * dot(q, ofQ(i), k, ofK(j), width)[0]));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        let [mean, size] = [0, 0];
        const slopes = weights.map((weight, j) => {
          const [slope, magnitude] = dot(dy, ofY(i), v, ofV(j), value);
          mean += (weight / total) * slope;
          size += (weight / total) * magnitude;
          return { p: weight / total, slope, magnitude };
        });
        for (const [j, { p, slope, magnitude }] of slopes.entries()) {
          const [ds, error] = [scale * p * (slope - mean), scale * p * (magnitude + size)];
          for (let c = 0; c < width; c++) {
            dq.add(ofQ(i) + c, ds * k[ofK(j) + c]!, error * Math.abs(k[ofK(j) + c]!));
            dk.add(ofK(j) + c, ds * q[ofQ(i) + c]!, error * Math.abs(q[ofQ(i) + c]!));
          }
          for (let c = 0; c < value; c++) {
            dv.add(ofV(j) + c, p * dy[ofY(i) + c]!);
            output.add(ofY(i) + c, p * v[ofV(j) + c]!);
          }
        }
      }
    }
  }
  const pass = {
    q: bench.tensor(q, shapes.q),
    k: bench.tensor(k, shapes.k),
    v: bench.tensor(v, shapes.v),
    output: bench.tensor(Float32Array.from(output.values), shapes.y),
  };
  const gradients = bench.backend.attentionGradients(bench.tensor(dy, shapes.y), pass, { scale, queryStart: start });
  for (const tensor of Object.values(gradients)) bench.hold(tensor);
  await bench.expect(gradients.q, dq.expectation(bench, shapes.q));
  await bench.expect(gradients.k, dk.expectation(bench, shapes.k));
  await bench.expect(gradients.v, dv.expectation(bench, shapes.v));
}

const rowsOf = fc.record({ rows: axis(33), width: axis(130, 1), seed: valueSeed });

export const gradientCases: readonly CaseDefinition[] = [
  property(
    GROUP,
    'of swiglu agree with float64',
    {
      arbitrary: rowsOf,
      examples: [
        { rows: 1, width: 1, seed: 1 },
        { rows: 3, width: 4099, seed: 2 },
        { rows: 0, width: 4, seed: 3 },
      ],
    },
    (bench, { rows, width, seed }) => expectSwiglu(bench, [rows, width], seed),
  ),

  property(
    GROUP,
    'of rmsNorm agree with float64',
    {
      arbitrary: rowsOf,
      examples: [
        { rows: 1, width: 1, seed: 1 },
        { rows: 67, width: 192, seed: 2 },
        { rows: 0, width: 4, seed: 3 },
      ],
    },
    (bench, { rows, width, seed }) => expectRmsNorm(bench, rows, width, seed),
  ),

  property(
    GROUP,
    'of cross-entropy, and itself, agree with float64',
    {
      arbitrary: rowsOf,
      examples: [
        { rows: 1, width: 1, seed: 1 },
        { rows: 5, width: 513, seed: 2 },
        { rows: 0, width: 4, seed: 3 },
      ],
    },
    (bench, { rows, width, seed }) => expectCrossEntropy(bench, rows, width, seed),
  ),

  property(
    GROUP,
    'of attention agree with float64',
    {
      arbitrary: fc.record({
        batch: fc.integer({ min: 1, max: 2 }),
        queries: axis(33, 1),
        start: axis(5),
        heads: fc.integer({ min: 1, max: 3 }),
        width: axis(9, 1),
        value: axis(9, 1),
        seed: valueSeed,
      }),
      examples: [
        { batch: 1, queries: 1, start: 0, heads: 1, width: 1, value: 1, seed: 1 },
        { batch: 2, queries: 130, start: 0, heads: 2, width: 6, value: 4, seed: 2 },
        { batch: 1, queries: 65, start: 70, heads: 1, width: 5, value: 8, seed: 3 },
      ],
    },
    (bench, one) => expectAttention(bench, one),
  ),

  example(GROUP, 'of keys that no query sees are zero', (bench) =>
    expectAttention(bench, { batch: 2, queries: 4, start: 1, after: 3, heads: 2, width: 4, value: 3, seed: 9 }),
  ),

  example(GROUP, 'refuse operands that do not fit', async (bench) => {
    const { backend } = bench;
    const zeros = (...shape: number[]) =>
      bench.tensor(new Float32Array(shape.reduce((size, axis) => size * axis, 1)), shape);
    const [short, long] = [zeros(2, 3), zeros(2, 4)];
    const targets = bench.tensor(Int32Array.of(0, 1), [2]);
    const pass = { q: zeros(1, 2, 1, 3), k: zeros(1, 2, 1, 3), v: zeros(1, 2, 1, 4), output: zeros(1, 2, 1, 4) };
    await bench.refuses('a gradient of another shape', 'SHAPE_MISMATCH', () =>
      backend.swigluGradients(long, short, short),
    );
    await bench.refuses('integers for a gradient', 'DTYPE_MISMATCH', () =>
      backend.rmsNormGradients(bench.tensor(new Int32Array(6), [2, 3]), short, zeros(3), 1e-6),
    );
    await bench.refuses('a weight of another width', 'SHAPE_MISMATCH', () =>
      backend.rmsNormGradients(short, short, zeros(4), 1e-6),
    );
    await bench.refuses('a target too few', 'SHAPE_MISMATCH', () => backend.crossEntropy(zeros(3, 2), targets));
    await bench.refuses('targets that are no integers', 'DTYPE_MISMATCH', () => backend.crossEntropy(short, zeros(2)));
    await bench.refuses('a normalizer too many', 'SHAPE_MISMATCH', () =>
      backend.crossEntropyGradients(zeros(2), short, targets, zeros(3)),
    );
    await bench.refuses('a gradient of the wrong width', 'SHAPE_MISMATCH', () =>
      backend.attentionGradients(zeros(1, 2, 1, 3), pass, { scale: 1 }),
    );
  }),
];
