/** Every composite's gradient, as its default body in primitives gives it, against central finite differences. */
import { Backend, type Tensor, type Weight } from '@mariana/core';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { checkGradients, randomInput, type TensorFunction } from './support/gradient-check.ts';
import { randomValues } from './support/random.ts';

const seed = fc.integer({ min: 1, max: 1e6 });
const small = fc.integer({ min: 1, max: 4 });

async function property<T>(arbitrary: fc.Arbitrary<T>, body: (value: T) => Promise<void>, numRuns = 10) {
  await fc.assert(fc.asyncProperty(arbitrary, body), { numRuns });
}

/** A weight that is freed with the scope of the call. */
function weightOf(backend: Backend, tensor: Tensor): Weight {
  return backend.denseWeight(backend.reshape(tensor, tensor.shape));
}

/** Runs a body that makes weights, and disposes them. */
function withWeights(
  body: (backend: Backend, inputs: readonly Tensor[], own: (t: Tensor) => Weight) => Tensor,
): TensorFunction {
  return (backend, inputs) => {
    const weights: Weight[] = [];
    try {
      return backend.scope(() =>
        body(backend, inputs, (tensor) => {
          const weight = weightOf(backend, tensor);
          weights.push(weight);
          return weight;
        }),
      );
    } finally {
      for (const weight of weights) weight.dispose();
    }
  };
}

describe('composites', () => {
  it('linear', () =>
    property(fc.tuple(fc.array(small, { maxLength: 2 }), small, small, seed), async ([lead, inputs, outputs, n]) => {
      await checkGradients(
        withWeights((backend, [x, w], own) => backend.linear(x!, own(w!))),
        [randomInput([...lead, inputs], n), randomInput([outputs, inputs], n + 1)],
      );
    }));

  it('groupedLinear', () =>
    property(fc.tuple(small, small, small, small, seed), async ([tokens, groups, inputs, outputs, n]) => {
      await checkGradients(
        withWeights((backend, [x, w], own) => backend.groupedLinear(x!, own(w!))),
        [randomInput([tokens, groups, inputs], n), randomInput([groups * outputs, inputs], n + 1)],
      );
    }));

  it('embed', () =>
    property(fc.tuple(small, small, seed), async ([vocabulary, width, n]) => {
      const ids = Int32Array.from(randomValues(5, n, 0, vocabulary), Math.floor);
      await checkGradients(
        withWeights((backend, [w], own) => backend.embed(backend.upload(ids, [5]), own(w!))),
        [randomInput([vocabulary, width], n)],
      );
    }));

  it('rmsNorm', () =>
    property(fc.tuple(fc.array(small, { maxLength: 2 }), small, seed), async ([lead, width, n]) => {
      await checkGradients(
        (backend, [x, weight]) => backend.rmsNorm(x!, weight!, 1e-2),
        [randomInput([...lead, width], n), randomInput([width], n + 1)],
      );
    }));

  it('rotary', () =>
    property(fc.tuple(small, small, small, seed), async ([tokens, heads, half, n]) => {
      await checkGradients(
        (backend, [x, cos, sin]) => backend.rotary(x!, cos!, sin!),
        [
          randomInput([tokens, heads, 2 * half], n),
          randomInput([tokens, half], n + 1),
          randomInput([tokens, half], n + 2),
        ],
      );
    }));

  it('swiglu', () =>
    property(fc.tuple(fc.array(small, { minLength: 1, maxLength: 3 }), seed), async ([shape, n]) => {
      await checkGradients(
        (backend, [gate, up]) => backend.swiglu(gate!, up!),
        [randomInput(shape, n, -3, 3), randomInput(shape, n + 1)],
      );
    }));

  it('softmax', () =>
    property(fc.tuple(fc.array(small, { minLength: 1, maxLength: 3 }), seed), async ([shape, n]) => {
      await checkGradients((backend, [x]) => backend.softmax(x!), [randomInput(shape, n, -3, 3)]);
    }));

  it('attention', () =>
    property(fc.tuple(small, small, small, small, small, seed), async ([batch, queries, heads, width, values, n]) => {
      const queryStart = n % 3;
      const keys = queryStart + queries;
      await checkGradients(
        (backend, [q, k, v]) => backend.attention(q!, k!, v!, { scale: 0.7, queryStart }),
        [
          randomInput([batch, queries, heads, width], n),
          randomInput([batch, keys, heads, width], n + 1),
          randomInput([batch, keys, heads, values], n + 2),
        ],
      );
    }));

  it('latentAttention, also for the cached rows', () =>
    property(fc.tuple(small, small, small, seed), async ([queries, heads, latentDim, n]) => {
      const pages = Int32Array.of(2, 0);
      const length = queries + (n % (7 - queries));
      await checkGradients(
        (backend, [q, pool]) =>
          backend.latentAttention(
            q!,
            { pool: pool!, pageSize: 4, pages, length },
            { scale: 0.6, queryStart: length - queries, latentDim },
          ),
        [randomInput([queries, heads, latentDim + 2], n), randomInput([12, latentDim + 2], n + 1)],
      );
    }));

  const routing = fc.record({
    scoring: fc.constantFrom('sigmoid' as const, 'softmax' as const),
    groupScore: fc.constantFrom('top2' as const, 'max' as const),
    normalize: fc.boolean(),
    grouped: fc.boolean(),
    topK: fc.integer({ min: 1, max: 3 }),
  });

  it('route: weights and scores, with the choice held fixed', () =>
    property(
      fc.tuple(routing, seed),
      async ([{ grouped, ...rules }, n]) => {
        const options = { ...rules, groups: grouped ? 2 : 1, topGroups: 1, scale: 2.5 };
        const body =
          (what: 'weights' | 'scores'): TensorFunction =>
          (backend, [logits]) =>
            backend.scope(() => {
              const bias = backend.upload(Float32Array.of(0.3, -0.2, 0.1, 0, -0.4, 0.2), [6]);
              return backend.route(logits!, bias, options)[what];
            });
        await checkGradients(body('weights'), [randomInput([4, 6], n, -2, 2)]);
        await checkGradients(body('scores'), [randomInput([4, 6], n, -2, 2)]);
      },
      20,
    ));

  it('experts, one of them without a token', () =>
    checkExperts((backend, ...operands) => backend.experts(...operands)));
});

/** Four experts for five tokens, one of them chosen by none. */
async function checkExperts(
  run: (backend: Backend, ...operands: Parameters<Backend['experts']>) => Promise<Tensor>,
): Promise<void> {
  const [tokens, width, inner, count] = [5, 3, 2, 4];
  const chosen = Int32Array.of(0, 1, 1, 3, 3, 0, 1, 0, 3, 1);
  await checkGradients(
    async (backend, [x, weights, ...matrices]) => {
      const owned = matrices.map((matrix) => weightOf(backend, matrix));
      using indices = backend.upload(chosen, [tokens, 2]);
      try {
        const [gate, up, down] = [0, 1, 2].map((i) => owned.slice(i * count, (i + 1) * count));
        return await run(backend, x!, { indices, weights: weights! }, { gate: gate!, up: up!, down: down! });
      } finally {
        for (const weight of owned) weight.dispose();
      }
    },
    [
      randomInput([tokens, width], 1),
      randomInput([tokens, 2], 2, 0.2, 1),
      ...Array.from({ length: 2 * count }, (_, i) => randomInput([inner, width], 10 + i)),
      ...Array.from({ length: count }, (_, i) => randomInput([width, inner], 30 + i)),
    ],
  );
}

describe('default bodies of the composites that have a gradient of their own', () => {
  const bodies = Backend.prototype;

  it('rmsNorm', async () => {
    await checkGradients(
      (backend, [x, weight]) => bodies.rmsNorm.call(backend, x!, weight!, 1e-2),
      [randomInput([2, 3, 4], 1), randomInput([4], 2)],
    );
  });

  it('rotary, also where the tables depend on parameters', async () => {
    const inputs = [randomInput([3, 2, 4], 1), randomInput([3, 2], 2), randomInput([3, 2], 3)];
    await checkGradients((backend, [x, cos, sin]) => bodies.rotary.call(backend, x!, cos!, sin!), inputs);
  });

  it('rotary by constant tables', async () => {
    await checkGradients(
      (backend, [x]) =>
        backend.scope(() => {
          const table = (seed: number) => backend.upload(Float32Array.from(randomValues(6, seed)), [3, 2]);
          return backend.rotary(x!, table(1), table(2));
        }),
      [randomInput([3, 2, 4], 1)],
    );
  });

  it('swiglu', async () => {
    const inputs = [randomInput([2, 3], 1, -3, 3), randomInput([2, 3], 2)];
    await checkGradients((backend, [gate, up]) => bodies.swiglu.call(backend, gate!, up!), inputs);
  });

  it('softmax', async () => {
    await checkGradients((backend, [x]) => bodies.softmax.call(backend, x!), [randomInput([2, 3, 4], 1)]);
  });

  it('attention', async () => {
    await checkGradients(
      (backend, [q, k, v]) => bodies.attention.call(backend, q!, k!, v!, { scale: 0.6, queryStart: 1 }),
      [randomInput([2, 3, 2, 4], 1), randomInput([2, 4, 2, 4], 2), randomInput([2, 4, 2, 3], 3)],
    );
  });

  it('experts', () => checkExperts((backend, ...operands) => bodies.experts.call(backend, ...operands)));

  it('matmulGroups and matmulWithinGroups', async () => {
    const counts = [2, 0, 3];
    await checkGradients(
      (backend, [x, y, ...matrices]) =>
        backend.scope(() => {
          const products = [backend.matmulGroups(x!, counts, matrices), ...backend.matmulWithinGroups(x!, y!, counts)];
          return backend.concat(
            products.map((product) => backend.reshape(product, [product.size])),
            0,
          );
        }),
      [
        [5, 3],
        [5, 2],
        [3, 4],
        [3, 4],
        [3, 4],
      ].map((shape, i) => randomInput(shape, i + 1)),
    );
  });
});
