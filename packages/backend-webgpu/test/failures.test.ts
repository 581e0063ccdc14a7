/** What goes wrong on a device is a typed error, at the call that caused it or at the next one that waits. */
import type { MarianaError } from '@mariana/core';
import { Model } from '@mariana/runtime';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type WebGpuBackend, webgpu } from '../src/index.ts';
import type { Kernel } from '../src/kernels/kernel.ts';

let backend: WebGpuBackend;
beforeEach(async () => {
  backend = await webgpu();
});
afterEach(() => backend.dispose());

/** A kernel that writes one element, with a body of one's own. */
function kernel(label: string, body: string): Kernel<null> {
  return {
    label,
    key: label,
    code: `@compute @workgroup_size(1) fn main() { ${body} }`,
    workgroupSize: [1, 1, 1],
    bindings: [{ name: 'y', access: 'write', element: 'f32' }],
    uniforms: [],
    dispatch: () => [1, 1, 1],
  };
}

describe('a device that reports an error', () => {
  test('a shader that does not compile fails the read that waits for it, by name, and all that follows', async () => {
    const { tensor, buffer } = backend.output([1], 'f32');
    backend.run(kernel('nonsense', 'y[0] = no_such_function();'), { shape: null, buffers: { y: buffer } });
    const failure = { name: 'MarianaError', code: 'BACKEND_FAILED', message: expect.stringContaining('nonsense') };
    await expect(tensor.read()).rejects.toMatchObject(failure);
    expect(() => backend.unary('neg', tensor)).toThrow(expect.objectContaining(failure));
  });

  test('a buffer that is too small to bind fails the read', async () => {
    const small = backend.output([1], 'f32');
    const big = kernel('reaches-too-far', 'y[0] = 1;');
    backend.run(big, { shape: null, buffers: { y: { buffer: small.buffer, offset: 256 } } });
    await expect(small.tensor.read()).rejects.toMatchObject({ code: 'BACKEND_FAILED' });
  });

  test('a backend made after it works', async () => {
    const { tensor, buffer } = backend.output([1], 'f32');
    backend.run(kernel('nonsense', 'y[0] = no_such_function();'), { shape: null, buffers: { y: buffer } });
    await expect(tensor.read()).rejects.toThrow();
    using fresh = await webgpu();
    using x = fresh.upload(Float32Array.of(2), [1]);
    using y = fresh.unary('neg', x);
    expect(await y.read()).toEqual(Float32Array.of(-2));
  });
});

describe('sizes that a device does not have', () => {
  test('a tensor over the limit of a buffer is refused before anything is computed', () => {
    using column = backend.upload(new Float32Array(40_000), [40_000, 1]);
    expect(() => backend.matmul(column, column, { transposeB: true })).toThrow(
      expect.objectContaining({ name: 'MarianaError', code: 'OUT_OF_MEMORY' }) as MarianaError,
    );
  });

  test('more workgroups than a device runs are refused', () => {
    using y = backend.output([1], 'f32').tensor;
    const many = { ...kernel('many', 'y[0] = 1;'), dispatch: () => [70_000, 1, 1] as const };
    expect(() => backend.run(many, { shape: null, buffers: { y: backend.buffer(y) } })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as MarianaError,
    );
  });
});

describe('a device that is lost', () => {
  test('what was put off until then fails whenever it is read, and can be disposed', async () => {
    using x = backend.upload(Float32Array.of(3, 4), [1, 2]);
    using weight = backend.upload(Float32Array.of(1, 1), [2]);
    using y = backend.rmsNorm(x, weight, 0);
    backend.device.destroy();
    await backend.device.lost;
    const failure = { name: 'MarianaError', code: 'BACKEND_FAILED', details: { lost: true } };
    await expect(y.read()).rejects.toMatchObject(failure);
    await expect(y.read()).rejects.toMatchObject(failure);
  });

  test('the session says so, and can be rebuilt from its tokens on another', async () => {
    using model = await Model.load('tiny', { backend });
    const session = model.session();
    const options = { maxTokens: 3, temperature: 0 };
    for await (const _ of session.generate([5, 6, 7], options));
    const tokens = [...session.tokens];
    const reference = model.session();
    const expected: number[] = [];
    for await (const { id } of reference.generate(tokens, options)) expected.push(id);

    backend.device.destroy();
    await backend.device.lost;
    const more = session.generate([], options);
    await expect(more.next()).rejects.toMatchObject({
      name: 'MarianaError',
      code: 'BACKEND_FAILED',
      details: { lost: true },
    });

    using second = await webgpu();
    using again = await Model.load('tiny', { backend: second });
    const rebuilt: number[] = [];
    for await (const { id } of again.session().generate(tokens, options)) rebuilt.push(id);
    expect(rebuilt).toEqual(expected);
  });
});
