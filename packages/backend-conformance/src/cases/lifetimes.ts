/** Who lives how long: scopes, `keep`, `using`, shared storage, and the count of what is alive. */
import type { Backend, Tensor } from '@mariana/core';
import { type CaseDefinition, example } from '../conformance-case.ts';
import type { Workbench } from '../workbench.ts';

const GROUP = 'lifetimes';

const make = (backend: Backend, ...values: number[]) => backend.upload(Float32Array.from(values), [values.length]);

/** Tensors alive beyond those at the start. */
function counter({ backend }: Workbench): () => number {
  const start = backend.memory().tensors;
  return () => backend.memory().tensors - start;
}

function expectAlive(bench: Workbench, what: string, alive: readonly Tensor[], gone: readonly Tensor[] = []): void {
  for (const tensor of alive) bench.must(!tensor.disposed, `${what}: a tensor was freed that should live`);
  for (const tensor of gone) bench.must(tensor.disposed, `${what}: a tensor lives that should have been freed`);
}

export const lifetimeCases: readonly CaseDefinition[] = [
  example(GROUP, 'memory counts handles, and bytes of storage', async (bench) => {
    const { backend } = bench;
    const before = backend.memory();
    const x = bench.tensor(new Float32Array(1000), [10, 100]);
    const codes = bench.tensor(new Uint8Array(1000), [1000], 'e4m3');
    const after = backend.memory();
    bench.must(after.tensors - before.tensors === 2, `two uploads count as ${after.tensors - before.tensors} tensors`);
    bench.must(after.bytes - before.bytes >= 5000, `5000 bytes of values count as ${after.bytes - before.bytes} bytes`);
    x.dispose();
    codes.dispose();
    bench.expectNothingLeft();
  }),

  example(GROUP, 'a scope frees what it made, except its result', async (bench) => {
    const { backend } = bench;
    const alive = counter(bench);
    const inner: Tensor[] = [];
    const result = bench.hold(
      backend.scope(() => {
        const a = make(backend, 1, 2);
        const b = backend.unary('neg', a);
        inner.push(a, b);
        return backend.binary('sub', b, a);
      }),
    );
    expectAlive(bench, 'scope', [result], inner);
    bench.must(alive() === 1, `a scope left ${alive()} tensors, not its result alone`);
    await bench.expect(result, { shape: [2], values: [-2, -4] });
  }),

  example(GROUP, 'a scope finds its results in arrays, objects and maps, nested', async (bench) => {
    const { backend } = bench;
    const alive = counter(bench);
    const result = backend.scope(() => {
      make(backend, 0);
      const [a, b, c, d] = [1, 2, 3, 4].map((value) => make(backend, value));
      return { a: a!, list: [b!, { c: c! }] as const, map: new Map([['d', [d!]]]), name: 'x', none: null, count: 3 };
    });
    const tensors = [result.a, result.list[0], result.list[1].c, result.map.get('d')![0]!];
    for (const tensor of tensors) bench.hold(tensor);
    expectAlive(bench, 'scope', tensors);
    bench.must(alive() === 4, `a scope that returns four tensors left ${alive()}`);
    bench.must(result.name === 'x' && result.count === 3, 'a scope changed its result');
    for (const [i, tensor] of tensors.entries()) await bench.expect(tensor, { shape: [1], values: [i + 1] });
  }),

  example(GROUP, 'a scope that returns no tensor frees all, and returns what its body does', async (bench) => {
    const { backend } = bench;
    const alive = counter(bench);
    const size = backend.scope(() => make(backend, 1, 2, 3).size);
    bench.must(size === 3, `a scope whose body gives 3 gave ${size}`);
    bench.must(backend.scope(() => {}) === undefined, 'a scope whose body gives nothing gave something');
    bench.must(alive() === 0, `${alive()} tensors are left of a scope without a result`);
  }),

  example(GROUP, 'a scope leaves alone what was made before it', async (bench) => {
    const { backend } = bench;
    const x = bench.tensor(Float32Array.of(1), [1]);
    const same = backend.scope(() => x);
    backend.scope(() => {
      backend.unary('neg', x);
    });
    bench.must(same === x, 'a scope gave another handle than its body');
    expectAlive(bench, 'scope', [x]);
  }),

  example(GROUP, 'scopes nest: the result of an inner one is freed by the outer', async (bench) => {
    const { backend } = bench;
    const alive = counter(bench);
    let passed: Tensor | undefined;
    let counted = -1;
    const result = bench.hold(
      backend.scope(() => {
        passed = backend.scope(() => {
          make(backend, 5);
          return make(backend, 7);
        });
        counted = alive();
        expectAlive(bench, 'inner scope', [passed]);
        return backend.unary('neg', passed);
      }),
    );
    bench.must(counted === 1, `after an inner scope ${counted} tensors were alive, not its result alone`);
    expectAlive(bench, 'outer scope', [result], [passed!]);
    bench.must(alive() === 1, `${alive()} tensors are left of nested scopes, not one`);
    await bench.expect(result, { shape: [1], values: [-7] });
  }),

  example(GROUP, 'a result that passes through several scopes lives', async (bench) => {
    const { backend } = bench;
    const result = bench.hold(backend.scope(() => backend.scope(() => backend.scope(() => make(backend, 3)))));
    await bench.expect(result, { shape: [1], values: [3] });
  }),

  example(GROUP, 'a scope whose body throws frees all, and passes the error on', async (bench) => {
    const { backend } = bench;
    const alive = counter(bench);
    const error = new RangeError('mine');
    let caught: unknown;
    try {
      backend.scope(() => {
        make(backend, 1);
        backend.scope(() => {
          make(backend, 2);
          throw error;
        });
      });
    } catch (thrown) {
      caught = thrown;
    }
    bench.must(caught === error, `a scope turned the error of its body into ${String(caught)}`);
    bench.must(alive() === 0, `${alive()} tensors are left of a scope whose body threw`);
    // The stack of scopes is intact: what is made now belongs to no scope.
    const free = bench.hold(make(backend, 1));
    backend.scope(() => make(backend, 2).dispose());
    expectAlive(bench, 'after a failed scope', [free]);
  }),

  example(GROUP, 'an operation that fails within a scope leaves nothing', async (bench) => {
    const { backend } = bench;
    const alive = counter(bench);
    await bench.refuses('a product that does not fit', 'SHAPE_MISMATCH', () =>
      backend.scope(() => backend.matmul(make(backend, 1, 2), make(backend, 3))),
    );
    bench.must(alive() === 0, `${alive()} tensors are left`);
  }),

  example(GROUP, 'a scope refuses an asynchronous body, and frees what it made', async (bench) => {
    const { backend } = bench;
    const alive = counter(bench);
    await bench.refuses('an asynchronous body', 'INVALID_ARGUMENT', () => backend.scope(async () => make(backend, 1)));
    bench.must(alive() === 0, `${alive()} tensors are left of an asynchronous body`);
    // A body that rejects must not surface as an unhandled rejection beside the error.
    await bench.refuses('a body that rejects', 'INVALID_ARGUMENT', () =>
      backend.scope(() => Promise.reject(new Error('inner'))),
    );
  }),

  example(GROUP, 'keep takes a tensor out of all scopes', async (bench) => {
    const { backend } = bench;
    let kept: Tensor | undefined;
    backend.scope(() => {
      backend.scope(() => {
        kept = backend.keep(make(backend, 4));
      });
    });
    expectAlive(bench, 'keep', [bench.hold(kept!)]);
    await bench.expect(kept!, { shape: [1], values: [4] });
  }),

  example(GROUP, 'keep of what an inner scope returned takes it out of the outer', async (bench) => {
    const { backend } = bench;
    let kept: Tensor | undefined;
    backend.scope(() => {
      const inner = backend.scope(() => make(backend, 4));
      kept = backend.keep(inner);
    });
    expectAlive(bench, 'keep', [bench.hold(kept!)]);
  }),

  example(GROUP, 'a tensor that is kept and returned is counted once', async (bench) => {
    const { backend } = bench;
    const alive = counter(bench);
    const tensor = backend.scope(() => backend.keep(make(backend, 4)));
    tensor.dispose();
    bench.must(alive() === 0, `${alive()} tensors are left`);
  }),

  example(GROUP, 'using disposes at the end of a block; disposing twice is harmless', async (bench) => {
    const { backend } = bench;
    const alive = counter(bench);
    let outside: Tensor;
    {
      using x = make(backend, 1);
      outside = x;
      x.dispose();
      x.dispose();
    }
    outside.dispose();
    bench.must(alive() === 0, `a tensor that was disposed several times leaves a count of ${alive()}`);
  }),

  example(GROUP, 'what is disposed within a scope stays so', async (bench) => {
    const { backend } = bench;
    const alive = counter(bench);
    backend.scope(() => {
      const x = make(backend, 1);
      x.dispose();
    });
    bench.must(alive() === 0, `the count is ${alive()} after a scope freed a tensor that was disposed already`);
  }),

  example(GROUP, 'handles share storage: it lives as long as the last of them', async (bench) => {
    const { backend } = bench;
    const before = backend.memory();
    const x = backend.upload(Float32Array.of(1, 2, 3, 4), [4]);
    const y = bench.hold(backend.reshape(x, [2, 2]));
    const z = bench.hold(backend.reshape(y, [1, 4]));
    const shared = backend.memory();
    bench.must(shared.tensors - before.tensors === 3, 'three handles on one storage are three tensors');
    x.dispose();
    z.dispose();
    const rest = backend.memory();
    bench.must(rest.tensors - before.tensors === 1, 'one of three handles is left');
    bench.must(rest.bytes === shared.bytes, 'storage was freed, or counted off, while a handle holds it');
    // Something of the same size, which would be given the storage if it had been freed.
    bench.tensor(Float32Array.of(9, 9, 9, 9), [4]);
    await bench.expect(y, { shape: [2, 2], values: [1, 2, 3, 4] });
  }),

  example(GROUP, 'a scope that returns a reshaped handle keeps its storage', async (bench) => {
    const { backend } = bench;
    const y = bench.hold(backend.scope(() => backend.reshape(make(backend, 1, 2, 3, 4), [2, 2])));
    bench.tensor(Float32Array.of(9, 9, 9, 9), [4]);
    await bench.expect(y, { shape: [2, 2], values: [1, 2, 3, 4] });
  }),

  example(GROUP, 'storage that is freed and taken again holds the new values', async (bench) => {
    const { backend } = bench;
    for (let round = 0; round < 20; round++) {
      const size = 1 + ((round * 37) % 64);
      const x = backend.upload(new Float32Array(size).fill(round), [size]);
      const y = backend.unary('neg', x);
      x.dispose();
      const z = bench.hold(backend.upload(new Float32Array(size).fill(100), [size]));
      await bench.expect(y, { shape: [size], values: new Float32Array(size).fill(-round) });
      await bench.expect(z, { shape: [size], values: new Float32Array(size).fill(100) });
    }
  }),

  example(GROUP, 'empty and scalar tensors are counted and freed like others', async (bench) => {
    const { backend } = bench;
    const alive = counter(bench);
    const empty = backend.upload(new Float32Array(0), [0, 3]);
    const scalar = backend.upload(Float32Array.of(1), []);
    bench.must(alive() === 2, `an empty and a scalar tensor count as ${alive()}`);
    empty.dispose();
    scalar.dispose();
    bench.must(alive() === 0, `the count is ${alive()} after they were disposed`);
  }),

  example(GROUP, 'a long chain in scopes does not grow memory', async (bench) => {
    const { backend } = bench;
    let state = backend.upload(Float32Array.of(1, -1, 0.5), [1, 3]);
    const { tensors, bytes } = backend.memory();
    for (let step = 0; step < 300; step++) {
      const next = backend.scope(() => {
        const doubled = backend.binary('add', state, state);
        const norm = backend.softmax(backend.reshape(doubled, [3]));
        return backend.reshape(backend.binary('sub', norm, backend.reduce('max', norm, 0)), [1, 3]);
      });
      state.dispose();
      state = next;
    }
    bench.hold(state);
    const after = backend.memory();
    bench.must(after.tensors === tensors && after.bytes === bytes, `300 steps grew memory to ${JSON.stringify(after)}`);
  }),
];
