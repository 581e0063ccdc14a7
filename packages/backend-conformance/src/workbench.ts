/**
 * Where one example is worked: it makes the operands, checks the results, and at the end looks whether the operands are
 * still what they were, gives everything back, and looks whether the backend holds as much as before. So every example
 * of every operation also shows that it works on no operand in place and leaks nothing.
 */
import {
  allocateTensorData,
  type Backend,
  type ErrorCode,
  isMarianaError,
  type MemoryUse,
  type Shape,
  sizeOf,
  Tensor,
  type TensorData,
  type TensorDType,
} from '@mariana/core';
import { type Bound, compare, compareElements } from './compare.ts';
import { ConformanceError } from './conformance-error.ts';
import type { Tolerance } from './tolerance.ts';

/** What a result should be. */
export interface Expectation {
  readonly shape: Shape;
  /** Default `f32`. */
  readonly dtype?: TensorDType;
  /** Exact values, unrounded; or codes. */
  readonly values: ArrayLike<number>;
  /** Default 0: exact. */
  readonly bound?: Bound;
  /** Compare bits, not numbers: for elements that are moved or stored. */
  readonly bits?: boolean;
}

export class Workbench {
  readonly operation: string;
  readonly backend: Backend;
  /** Another backend, whose tensors are foreign to the first. */
  readonly foreign: Backend;
  readonly tolerance: Tolerance;
  readonly #before: MemoryUse;
  readonly #held: Disposable[] = [];
  readonly #operands: string[] = [];
  readonly #constant: { readonly tensor: Tensor; readonly data: TensorData }[] = [];

  constructor(operation: string, backend: Backend, foreign: Backend, tolerance: Tolerance) {
    this.operation = operation;
    this.backend = backend;
    this.foreign = foreign;
    this.tolerance = tolerance;
    this.#before = backend.memory();
  }

  /** Uploads an operand, which must not change. */
  tensor(data: TensorData, shape: Shape, dtype?: TensorDType): Tensor {
    const tensor = this.target(data, shape, dtype);
    this.#constant.push({ tensor, data: data.slice() });
    return tensor;
  }

  /** Uploads an operand that will be written to. */
  target(data: TensorData, shape: Shape, dtype?: TensorDType): Tensor {
    const tensor = this.hold(this.backend.upload(data, shape, dtype));
    this.#operands.push(`${tensor}`);
    return tensor;
  }

  /** An operand of the other backend. */
  foreignTensor(data: TensorData, shape: Shape, dtype?: TensorDType): Tensor {
    return this.hold(this.foreign.upload(data, shape, dtype));
  }

  /** Gives something back when the example is over. */
  hold<T extends Disposable>(thing: T): T {
    this.#held.push(thing);
    return thing;
  }

  /** Reads a result and compares it: handle, length, type of array, elements. The result is then disposed. */
  async expect(result: Tensor, { shape, dtype = 'f32', values, bound = 0, bits = false }: Expectation): Promise<void> {
    this.hold(result);
    this.expectHandle(result, shape, dtype);
    const actual = await this.read(result);
    const comparison = { operation: this.operation, operands: this.#operands, expected: values, bound, dtype };
    if (bits) compareElements(actual, comparison);
    else compare(actual, comparison);
    result.dispose();
  }

  /** Checks what a handle says about itself. */
  expectHandle(result: Tensor, shape: Shape, dtype: TensorDType): void {
    if (!(result instanceof Tensor)) this.fail(`returned ${String(result)}, not a Tensor`);
    const is = `${result.dtype} [${result.shape.join(', ')}]`;
    const should = `${dtype} [${shape.join(', ')}]`;
    if (is !== should) this.fail(`returned ${is}, not ${should}`);
    if (result.backend !== this.backend) this.fail('returned a tensor that does not name its backend');
  }

  /** The elements of a tensor, of the right number and in the right array. */
  async read(tensor: Tensor): Promise<TensorData> {
    const data = await this.backend.read(tensor);
    const should = allocateTensorData(tensor.dtype, 0).constructor;
    if (data.constructor !== should) this.fail(`read gave ${data.constructor?.name} for ${tensor}, not ${should.name}`);
    if (data.length !== sizeOf(tensor.shape)) this.fail(`read gave ${data.length} elements for ${tensor}`);
    return data;
  }

  /** Checks that a call is refused with a `MarianaError` of a code (of any, if none is given). */
  async refuses(what: string, code: ErrorCode | undefined, call: () => unknown): Promise<void> {
    let problem: string;
    try {
      await call();
      problem = 'was accepted';
    } catch (error) {
      if (isMarianaError(error) && (code === undefined || error.code === code)) return;
      const name = isMarianaError(error) ? error.code : error;
      throw new ConformanceError(
        this.operation,
        `${what} must be refused with ${code ?? 'a MarianaError'}, but threw ${name}`,
        { operands: this.#operands },
        { cause: error },
      );
    }
    this.fail(`${what} must be refused with ${code ?? 'a MarianaError'}, but ${problem}`);
  }

  fail(message: string, options?: ErrorOptions): never {
    const operands = this.#operands.length > 0 ? `${this.#operands.join(', ')}: ` : '';
    throw new ConformanceError(this.operation, operands + message, { operands: this.#operands }, options);
  }

  /** Fails with a message unless a condition holds. */
  must(condition: boolean, message: string): void {
    if (!condition) this.fail(message);
  }

  /** Checks that no operation changed an operand that is still alive. */
  async expectOperandsUnchanged(): Promise<void> {
    for (const { tensor, data } of this.#constant) {
      if (tensor.disposed) continue;
      const operation = `${this.operation} (its operand, afterwards)`;
      const { dtype } = tensor;
      compareElements(await this.read(tensor), { operation, operands: this.#operands, expected: data, dtype });
    }
  }

  /** Gives back what the example holds. Called in any case, so that a failure does not spoil the next example. */
  clear(): void {
    for (const thing of this.#held.splice(0)) thing[Symbol.dispose]();
  }

  /** Checks that nothing is left of the example, after `clear`. */
  expectNothingLeft(): void {
    const { tensors, bytes } = this.backend.memory();
    if (tensors === this.#before.tensors && bytes === this.#before.bytes) return;
    this.fail(
      `leaks: ${tensors - this.#before.tensors} tensors and ${bytes - this.#before.bytes} bytes ` +
        'are left after everything was disposed',
    );
  }
}
