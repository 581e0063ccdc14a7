/** Every primitive's gradient against central finite differences in double precision, over random shapes. */
import { sizeOf, type Tensor, type UnaryOp } from '@mariana/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkGradients, randomInput, type TensorFunction } from './support/gradient-check.ts';
import { randomValues } from './support/random.ts';

const axis = fc.integer({ min: 1, max: 4 });
const shape = (minRank = 0, maxRank = 3) => fc.array(axis, { minLength: minRank, maxLength: maxRank });
const seed = fc.integer({ min: 1, max: 1e6 });

/** Two shapes that broadcast: one of them loses leading axes or has some of its axes set to 1, or both have. */
const broadcastPair = fc
  .record({
    full: shape(1, 4),
    maskA: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
    maskB: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
    drop: fc.integer({ min: 0, max: 4 }),
  })
  .map(({ full, maskA, maskB, drop }) => ({
    a: full.map((size, i) => (maskA[i] && maskB[i] !== true ? 1 : size)),
    b: full.map((size, i) => (maskB[i] ? 1 : size)).slice(Math.min(drop, full.length)),
  }));

async function property<T>(arbitrary: fc.Arbitrary<T>, body: (value: T) => Promise<void>, numRuns = 25) {
  await fc.assert(fc.asyncProperty(arbitrary, body), { numRuns });
}

describe('unary', () => {
  const domains: Partial<Record<UnaryOp, [number, number]>> = {
    neg: [-2, 2],
    exp: [-2, 2],
    exp2: [-2, 2],
    log: [0.2, 3],
    log2: [0.2, 3],
    sqrt: [0.2, 3],
    rsqrt: [0.2, 3],
    sigmoid: [-4, 4],
  };
  for (const [op, [low, high]] of Object.entries(domains) as [UnaryOp, [number, number]][]) {
    it(op, () =>
      property(fc.tuple(shape(), seed), async ([size, n]) => {
        await checkGradients((backend, [x]) => backend.unary(op, x!), [randomInput(size, n, low, high)]);
      }),
    );
  }

  it('abs, on both sides of zero', () =>
    property(fc.tuple(shape(), seed), async ([size, n]) => {
      const input = randomInput(size, n);
      const away = { ...input, values: input.values.map((value) => value + Math.sign(value) * 0.01) };
      await checkGradients((backend, [x]) => backend.unary('abs', x!), [away]);
    }));

  it.each(['sign', 'floor', 'ceil'] as const)('%s has no gradient, and lets that of others through', async (op) => {
    const away = { shape: [4], values: [-1.4, -0.3, 0.3, 1.6] };
    await checkGradients(
      (backend, [x]) => backend.scope(() => backend.binary('mul', x!, backend.unary(op, x!))),
      [away],
    );
  });
});

describe('binary', () => {
  const gap = (values: number[], from: readonly number[]) =>
    values.map((value, i) => (Math.abs(value - from[i % from.length]!) < 0.01 ? value + 0.05 : value));

  it.each(['add', 'sub', 'mul', 'div'] as const)('%s', (op) =>
    property(fc.tuple(broadcastPair, seed), async ([{ a, b }, n]) => {
      const divisor = randomInput(b, n + 1, 0.5, 2);
      const signed = { ...divisor, values: divisor.values.map((value, i) => (i % 2 ? -value : value)) };
      await checkGradients((backend, [x, y]) => backend.binary(op, x!, y!), [randomInput(a, n), signed]);
    }),
  );

  it.each(['max', 'min'] as const)('%s', (op) =>
    property(fc.tuple(shape(1), seed), async ([size, n]) => {
      const x = randomInput(size, n);
      const y = { shape: size, values: gap(randomValues(sizeOf(size), n + 1), x.values) };
      await checkGradients((backend, [a, b]) => backend.binary(op, a!, b!), [x, y]);
    }),
  );

  it.each(['max', 'min'] as const)('%s of equal operands shares the gradient', async (op) => {
    // The central difference of max(x, x + 0) by either operand is one half.
    const values = [0.5, -1];
    await checkGradients(
      (backend, [a, b]) => backend.binary(op, a!, b!),
      [
        { shape: [2], values },
        { shape: [2], values },
      ],
    );
  });

  it.each(['max', 'min'] as const)('%s with broadcasting', async (op) => {
    await checkGradients(
      (backend, [a, b]) => backend.binary(op, a!, b!),
      [randomInput([3, 1, 2], 4), randomInput([4, 1], 5)],
    );
  });

  it('an operand used twice collects both gradients', async () => {
    await checkGradients((backend, [x]) => backend.binary('mul', x!, x!), [randomInput([3, 2], 8)]);
    await checkGradients((backend, [x]) => backend.binary('div', x!, x!), [randomInput([3], 8, 0.5, 1)]);
  });

  it('comparisons are constants', async () => {
    const body: TensorFunction = (backend, [x]) =>
      backend.binary(
        'mul',
        x!,
        backend.cast(backend.binary('less', x!, backend.upload(Float32Array.of(0), [])), 'f32'),
      );
    await checkGradients((backend, inputs) => backend.scope(() => body(backend, inputs)), [randomInput([6], 3)]);
  });
});

describe('selection and movement', () => {
  it('where', () =>
    property(fc.tuple(broadcastPair, seed), async ([{ a, b }, n]) => {
      await checkGradients(
        (backend, [x, y]) => {
          using condition = backend.upload(
            Int32Array.from(randomValues(x!.size, n), (value) => Number(value > 0)),
            a,
          );
          return backend.where(condition, x!, y!);
        },
        [randomInput(a, n + 1), randomInput(b, n + 2)],
      );
    }));

  it('where keeps a masked infinity out of the gradient', async () => {
    await checkGradients(
      (backend, [x]) =>
        backend.scope(() => {
          const condition = backend.upload(Int32Array.of(1, 0, 1), [3]);
          const infinity = backend.upload(Float32Array.of(Number.NEGATIVE_INFINITY), []);
          return backend.unary('exp', backend.where(condition, x!, infinity));
        }),
      [randomInput([2, 3], 4)],
    );
  });

  it('gather, with rows taken several times and not at all', () =>
    property(
      fc.tuple(fc.integer({ min: 1, max: 5 }), shape(0, 2), shape(0, 2), seed),
      async ([rows, rest, indexShape, n]) => {
        const indices = Int32Array.from(randomValues(sizeOf(indexShape), n, 0, rows), Math.floor);
        await checkGradients(
          (backend, [x]) => {
            using at = backend.upload(indices, indexShape);
            return backend.gather(x!, at);
          },
          [randomInput([rows, ...rest], n + 1)],
        );
      },
    ));

  it('scatterAdd, with rows hit several times and not at all', () =>
    property(fc.tuple(fc.integer({ min: 1, max: 5 }), axis, shape(0, 2), seed), async ([rows, updates, rest, n]) => {
      const indices = Int32Array.from(randomValues(updates, n, 0, rows), Math.floor);
      await checkGradients(
        (backend, [x]) => {
          using at = backend.upload(indices, [updates]);
          return backend.scatterAdd(at, x!, rows);
        },
        [randomInput([updates, ...rest], n + 1)],
      );
    }));

  it('topK', () =>
    property(fc.tuple(shape(1, 3), seed), async ([size, n]) => {
      const k = 1 + (n % size.at(-1)!);
      await checkGradients(
        (backend, [x]) => {
          const { values, indices } = backend.topK(x!, k);
          indices.dispose();
          return values;
        },
        [randomInput(size, n)],
      );
    }));

  it('slice', () =>
    property(fc.tuple(shape(1, 3), seed), async ([size, n]) => {
      const at = n % size.length;
      const start = n % (size[at]! + 1);
      const end = start + ((n >> 3) % (size[at]! - start + 1));
      await checkGradients((backend, [x]) => backend.slice(x!, at, start, end), [randomInput(size, n)]);
      await checkGradients((backend, [x]) => backend.slice(x!, at - size.length, start, end), [randomInput(size, n)]);
    }));

  it('several slices of one tensor: apart, overlapping, along both axes, empty, and beside the whole', () =>
    property(
      fc.tuple(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 1 }), fc.nat(4), fc.nat(4)), { minLength: 1, maxLength: 6 }),
        fc.nat(6),
        seed,
      ),
      async ([cuts, whole, n]) => {
        await checkGradients(
          (backend, [x]) =>
            backend.scope(() => {
              const parts = cuts.map(([axis, from, to]) =>
                backend.slice(x!, axis, Math.min(from, to), Math.max(from, to)),
              );
              parts.splice(Math.min(whole, parts.length), 0, x!);
              const squares = parts.map((part) => backend.binary('mul', part, part));
              return backend.concat(
                squares.map((part) => backend.reshape(part, [part.size])),
                0,
              );
            }),
          [randomInput([4, 4], n)],
        );
      },
    ));

  it('concat, with one tensor twice', () =>
    property(fc.tuple(shape(1, 3), fc.array(axis, { minLength: 1, maxLength: 3 }), seed), async ([size, parts, n]) => {
      const at = n % size.length;
      await checkGradients(
        (backend, inputs) => backend.concat([...inputs, inputs[0]!], n % 2 ? at : at - size.length),
        parts.map((part, i) => randomInput(size.with(at, part), n + i)),
      );
    }));

  it('transpose', () =>
    property(fc.tuple(shape(0, 4), seed), async ([size, n]) => {
      const order = size.map((_, i) => i).sort((a, b) => ((a * 7 + n) % 5) - ((b * 7 + n) % 5));
      await checkGradients((backend, [x]) => backend.transpose(x!, order), [randomInput(size, n)]);
    }));

  it('reshape, with the original still in use', () =>
    property(fc.tuple(shape(0, 3), seed), async ([size, n]) => {
      await checkGradients(
        (backend, [x]) =>
          backend.scope(() => {
            const flat = backend.reshape(x!, [x!.size]);
            return backend.binary('mul', backend.reshape(flat, size), x!);
          }),
        [randomInput(size, n)],
      );
    }));
});

describe('reductions', () => {
  it.each(['sum', 'max'] as const)('%s', (op) =>
    property(fc.tuple(shape(1, 4), fc.boolean(), seed), async ([size, keepDims, n]) => {
      const at = (n % size.length) - (n % 3 === 0 ? size.length : 0);
      await checkGradients((backend, [x]) => backend.reduce(op, x!, at, { keepDims }), [randomInput(size, n)]);
    }),
  );

  it('max of equal elements shares the gradient', async () => {
    // Moving one of two equal maxima up moves the result, moving it down does not: half on average.
    await checkGradients((backend, [x]) => backend.reduce('max', x!, 0), [{ shape: [3], values: [2, 1, 2] }]);
  });
});

describe('matmul', () => {
  const batch = fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 });
  it('with every transpose, and leading axes that broadcast', () =>
    property(
      fc.tuple(batch, batch, axis, axis, axis, fc.boolean(), fc.boolean(), seed),
      async ([batchA, batchB, m, k, n, transposeA, transposeB, random]) => {
        const rank = Math.min(batchA.length, batchB.length);
        // Of two aligned axes, sizes agree or one of them is 1.
        const aligned = batchB.map((size, i) => {
          const other = batchA[batchA.length - batchB.length + i];
          return other === undefined || other === 1 || i % 2 === rank % 2 ? size : other;
        });
        const left = batchA.map((size, i) => {
          const other = aligned[aligned.length - batchA.length + i];
          return other === undefined || other === 1 || size === other ? size : 1;
        });
        const a = [...left, ...(transposeA ? [k, m] : [m, k])];
        const b = [...aligned, ...(transposeB ? [n, k] : [k, n])];
        await checkGradients(
          (backend, [x, y]) => backend.matmul(x!, y!, { transposeA, transposeB }),
          [randomInput(a, random), randomInput(b, random + 1)],
        );
      },
      60,
    ));

  it('a matrix that serves a whole batch', async () => {
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        await checkGradients(
          (backend, [x, y]) => backend.matmul(x!, y!, { transposeA, transposeB }),
          [randomInput(transposeA ? [2, 3, 5] : [2, 5, 3], 1), randomInput(transposeB ? [4, 3] : [3, 4], 2)],
        );
      }
    }
  });
});

describe('cast', () => {
  it('hands gradients through float dtypes unchanged', async () => {
    const { autodiff } = await import('../src/index.ts');
    const { reference } = await import('@mariana/backend-reference');
    for (const dtype of ['bf16', 'f16', 'e4m3', 'e5m2'] as const) {
      const backend = autodiff(reference());
      const x = backend.parameter(backend.upload(Float32Array.of(0.1234567, -3.21, 0.7), [3]));
      using y = backend.scope(() => {
        const rounded = backend.cast(backend.cast(x, dtype), 'f32');
        return backend.reduce('sum', backend.binary('mul', rounded, rounded), 0);
      });
      const rounded = await readAll(backend.scope(() => backend.cast(backend.cast(x, dtype), 'f32')));
      const gradient = await readAll(backend.backward(y).get(x)!);
      expect(gradient).toEqual(rounded.map((value) => 2 * value));
    }
  });
});

async function readAll(tensor: Tensor): Promise<number[]> {
  return [...(await tensor.backend.read(tensor))];
}
