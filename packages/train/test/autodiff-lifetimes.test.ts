/** What the graph keeps, when it lets go, and what it refuses. */
import { reference } from '@mariana/backend-reference';
import type { Tensor } from '@mariana/core';
import { describe, expect, it } from 'vitest';
import { type AutodiffBackend, autodiff } from '../src/index.ts';

const f32 = (backend: AutodiffBackend, ...values: number[]) =>
  backend.upload(Float32Array.from(values), [values.length]);
const read = async (tensor: Tensor | undefined) => [...(await tensor!.read())];

function setup() {
  const inner = reference();
  const backend = autodiff(inner);
  const parameter = backend.parameter(f32(backend, 1, 2, 3));
  const baseline = { outer: backend.memory(), inner: inner.memory() };
  const expectBaseline = () => {
    expect(backend.memory()).toEqual(baseline.outer);
    expect(inner.memory()).toEqual(baseline.inner);
  };
  return { inner, backend, parameter, expectBaseline };
}

/** sum(exp(x) * x). */
const loss = (backend: AutodiffBackend, x: Tensor) =>
  backend.scope(() => backend.reduce('sum', backend.binary('mul', backend.unary('exp', x), x), 0));

describe('lifetimes', () => {
  it('a step leaves nothing on either backend', async () => {
    const { backend, parameter, expectBaseline } = setup();
    for (let step = 0; step < 3; step++) {
      using value = loss(backend, parameter);
      using gradient = backend.backward(value).get(parameter)!;
      expect(await read(gradient)).toHaveLength(3);
    }
    expectBaseline();
  });

  it('a forward pass without a backward pass leaves nothing either', () => {
    const { backend, inner, parameter, expectBaseline } = setup();
    const value = loss(backend, parameter);
    expect(inner.memory().tensors).toBeGreaterThan(2);
    value.dispose();
    expectBaseline();
  });

  it('the backward pass frees the graph while the loss lives on', async () => {
    const { backend, inner, parameter, expectBaseline } = setup();
    const value = loss(backend, parameter);
    backend.backward(value).get(parameter)!.dispose();
    expect(inner.memory().tensors).toBe(2);
    expect(await read(value)).toHaveLength(1);
    value.dispose();
    expectBaseline();
  });

  it('operations on constants are not recorded', () => {
    const { backend, inner, expectBaseline } = setup();
    using x = f32(backend, 1, 2);
    const before = inner.memory().tensors;
    using y = backend.unary('exp', x);
    expect(backend.isTracked(y)).toBe(false);
    expect(inner.memory().tensors).toBe(before + 1);
    y.dispose();
    x.dispose();
    expectBaseline();
  });

  it('gradients made in a scope are freed with it, unless they are returned', () => {
    const { backend, parameter, expectBaseline } = setup();
    const kept = backend.scope(() => backend.backward(loss(backend, parameter)));
    expect(kept.get(parameter)!.disposed).toBe(false);
    kept.get(parameter)!.dispose();
    backend.scope(() => {
      backend.backward(loss(backend, parameter));
    });
    expectBaseline();
  });

  it('two passes may be interleaved', async () => {
    const { backend, parameter, expectBaseline } = setup();
    using first = backend.unary('exp', parameter);
    using second = backend.binary('mul', parameter, parameter);
    using a = backend.reduce('sum', first, 0);
    using b = backend.reduce('sum', second, 0);
    using ofB = backend.backward(b).get(parameter)!;
    using ofA = backend.backward(a).get(parameter)!;
    expect(await read(ofB)).toEqual([2, 4, 6]);
    expect(await read(ofA)).toEqual([1, 2, 3].map((x) => Math.fround(Math.exp(x))));
    for (const tensor of [first, second, a, b, ofA, ofB]) tensor.dispose();
    expectBaseline();
  });

  it('a graph that is kept gives the same gradient again', async () => {
    const { backend, parameter, expectBaseline } = setup();
    using value = loss(backend, parameter);
    using first = backend.backward(value, { keepGraph: true }).get(parameter)!;
    using second = backend.backward(value).get(parameter)!;
    expect(await read(first)).toEqual(await read(second));
    for (const tensor of [value, first, second]) tensor.dispose();
    expectBaseline();
  });

  it('the graph outlives disposed operands, and parameters that were replaced', async () => {
    const { backend, inner, parameter, expectBaseline } = setup();
    using value = loss(backend, parameter);
    const temporary = backend.parameter(f32(backend, 5));
    using product = backend.binary('mul', temporary, value);
    temporary.dispose();
    using gradient = backend.backward(product).get(parameter)!;
    const expected = [1, 2, 3].map((x) => 5 * (Math.exp(x) * x + Math.exp(x)));
    expect((await read(gradient)).every((g, i) => Math.abs(g - expected[i]!) < 1e-4 * expected[i]!)).toBe(true);
    for (const tensor of [value, product, gradient]) tensor.dispose();
    expectBaseline();
    expect(inner.memory().tensors).toBe(1);
  });

  it('a backward pass that fails leaves nothing', () => {
    const { backend, parameter, expectBaseline } = setup();
    const broken = backend.scope(() => {
      const y = backend.custom('broken', [parameter], (inner, [x]) => ({
        output: inner.unary('exp', x!),
        backward: () => {
          throw new Error('no gradient today');
        },
      }));
      return backend.reduce('sum', backend.binary('mul', y, parameter), 0);
    });
    expect(() => backend.backward(broken)).toThrow('no gradient today');
    broken.dispose();
    expectBaseline();
  });
});

describe('parameters', () => {
  it('one that the loss does not depend on has gradient zero', async () => {
    const { backend, parameter } = setup();
    const other = backend.parameter(backend.upload(new Float32Array(4), [2, 2]));
    using value = loss(backend, parameter);
    const gradients = backend.backward(value);
    expect([...gradients.keys()]).toEqual([parameter, other]);
    expect(await read(gradients.get(other))).toEqual([0, 0, 0, 0]);
    expect(gradients.get(other)!.shape).toEqual([2, 2]);
  });

  it('only those asked for get a gradient', () => {
    const { backend, parameter, inner } = setup();
    const other = backend.parameter(f32(backend, 1, 1, 1));
    using value = backend.scope(() => backend.reduce('sum', backend.binary('mul', parameter, other), 0));
    const gradients = backend.backward(value, { parameters: [other] });
    expect([...gradients.keys()]).toEqual([other]);
    expect(inner.memory().tensors).toBe(4);
  });

  it('may come from the wrapped backend, and outlive the scope', () => {
    const inner = reference();
    const backend = autodiff(inner);
    const parameter = backend.scope(() => backend.parameter(inner.upload(Float32Array.of(1), [1])) && undefined);
    expect(parameter).toBeUndefined();
    expect(backend.memory().tensors).toBe(1);
  });

  it('must be F32, and not computed from others', () => {
    const { backend, parameter } = setup();
    const integers = backend.upload(Int32Array.of(1), [1]);
    expect(() => backend.parameter(integers)).toThrow(expect.objectContaining({ code: 'DTYPE_MISMATCH' }));
    const computed = backend.unary('exp', parameter);
    expect(() => backend.parameter(computed)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(backend.parameter(parameter)).toBe(parameter);
  });

  it('are updated without recording', async () => {
    const { backend, parameter } = setup();
    const updated = backend.untracked(() => backend.binary('mul', parameter, parameter));
    expect(backend.isTracked(updated)).toBe(false);
    await backend.untracked(async () => {
      await Promise.resolve();
      expect(backend.isTracked(backend.unary('neg', parameter))).toBe(false);
    });
    expect(backend.isTracked(backend.unary('neg', parameter))).toBe(true);
    expect(() =>
      backend.untracked(() => {
        throw new Error('stop');
      }),
    ).toThrow('stop');
    expect(backend.isTracked(backend.unary('neg', parameter))).toBe(true);
  });
});

describe('refusals', () => {
  const code = (expected: string) => expect.objectContaining({ code: expected });

  it('a loss that depends on no parameter', () => {
    const { backend } = setup();
    expect(() => backend.backward(f32(backend, 1))).toThrow(code('NOT_DIFFERENTIABLE'));
  });

  it('a loss of several elements without a seed, and a seed of another size', () => {
    const { backend, parameter } = setup();
    const y = backend.unary('exp', parameter);
    expect(() => backend.backward(y)).toThrow(code('SHAPE_MISMATCH'));
    expect(() => backend.backward(y, { seed: f32(backend, 1) })).toThrow(code('SHAPE_MISMATCH'));
  });

  it('a second pass through a graph that was freed', () => {
    const { backend, parameter } = setup();
    const y = backend.unary('exp', parameter);
    const value = backend.reduce('sum', y, 0);
    backend.backward(value);
    expect(() => backend.backward(value)).toThrow(code('NOT_DIFFERENTIABLE'));
    expect(() => backend.backward(backend.reduce('sum', y, 0))).toThrow(code('NOT_DIFFERENTIABLE'));
  });

  it('writing parameters, or values computed from them, in place', () => {
    const { backend, parameter } = setup();
    const target = f32(backend, 0, 0, 0);
    const value = backend.slice(parameter, 0, 0, 1);
    expect(() => backend.writeRows(target, Int32Array.of(1), value)).toThrow(code('NOT_DIFFERENTIABLE'));
    expect(() => backend.writeRows(parameter, Int32Array.of(1), f32(backend, 1))).toThrow(code('NOT_DIFFERENTIABLE'));
    const constant = backend.untracked(() => backend.slice(parameter, 0, 0, 1));
    backend.writeRows(target, Int32Array.of(1), constant);
  });

  it('a saved operand that was overwritten before the backward pass', () => {
    const { backend, parameter } = setup();
    const factor = f32(backend, 1, 1, 1);
    const value = backend.reduce('sum', backend.binary('mul', parameter, factor), 0);
    backend.writeRows(factor, Int32Array.of(0), f32(backend, 7));
    expect(() => backend.backward(value)).toThrow(code('NOT_DIFFERENTIABLE'));
  });

  it('tensors of another backend, and disposed ones', () => {
    const { backend } = setup();
    const other = reference().upload(Float32Array.of(1), [1]);
    expect(() => backend.unary('exp', other)).toThrow(code('WRONG_BACKEND'));
    expect(() => backend.adopt(other)).toThrow(code('WRONG_BACKEND'));
    expect(() => backend.parameter(other)).toThrow(code('WRONG_BACKEND'));
    const gone = f32(backend, 1);
    gone.dispose();
    expect(() => backend.unary('exp', gone)).toThrow(code('TENSOR_DISPOSED'));
  });

  it('a rule that gives gradients of the wrong size', () => {
    const { backend, parameter } = setup();
    const y = backend.custom('short', [parameter], (inner, [x]) => ({
      output: inner.reduce('sum', x!, 0),
      backward: (gradient) => [gradient],
    }));
    expect(() => backend.backward(y)).toThrow(code('SHAPE_MISMATCH'));
  });
});

describe('custom operations', () => {
  it('replace the gradient, and keep what they save', async () => {
    const { backend, parameter, expectBaseline } = setup();
    const scale = f32(backend, 10, 10, 10);
    using value = backend.scope(() => {
      const y = backend.custom('reversed', [parameter, scale], (inner, [x, s]) => {
        const product = inner.binary('mul', x!, s!);
        return {
          output: product,
          saved: [inner.unary('neg', product)],
          backward: (gradient, [saved], needed) => {
            expect(needed).toEqual([true, false]);
            return [inner.binary('mul', gradient, saved!)];
          },
        };
      });
      return backend.reduce('sum', y, 0);
    });
    expect(await read(value)).toEqual([60]);
    using gradient = backend.backward(value).get(parameter)!;
    expect(await read(gradient)).toEqual([-10, -20, -30]);
    for (const tensor of [value, gradient, scale]) tensor.dispose();
    expectBaseline();
  });

  it('may return an input as it is, and forget what they saved where nothing is recorded', async () => {
    const { backend, parameter, expectBaseline } = setup();
    const constant = f32(backend, 4);
    const identity = (x: Tensor) =>
      backend.custom('identity', [x], (_, [input]) => ({
        output: input!,
        saved: [input!],
        backward: (gradient) => [gradient],
      }));
    const [same, tracked] = [identity(constant), identity(parameter)];
    constant.dispose();
    expect(await read(same)).toEqual([4]);
    expect(backend.isTracked(same)).toBe(false);
    expect(backend.isTracked(tracked)).toBe(true);
    for (const tensor of [same, tracked]) tensor.dispose();
    expectBaseline();
  });
});
