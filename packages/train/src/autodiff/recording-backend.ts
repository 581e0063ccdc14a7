/**
 * The half of the autodiff backend that is not mathematics: tensors that wrap tensors, parameters, the record of what was
 * computed from them, and the way back through it.
 */
import {
  Backend,
  type Capabilities,
  MarianaError,
  type MemoryUse,
  type Shape,
  Storage,
  type Tensor,
  type TensorData,
  type TensorDType,
} from '@mariana/core';
import type { Rule, Save } from './elementwise-rules.ts';
import {
  type BackwardRule,
  type Node,
  propagate,
  releaseVariable,
  type Saved,
  type Share,
  type Variable,
  type WriteCounts,
} from './graph.ts';
import { sumTo, zerosOf } from './shapes.ts';

/** What an operation with a gradient of its own did; see `RecordingBackend.custom`. */
export interface CustomOperation {
  /** The result. */
  readonly output: Tensor;
  /** Tensors that `backward` needs, inputs and the output among them; they are kept alive until then. */
  readonly saved?: readonly Tensor[];
  /**
   * Gradients of the inputs, F32 of their shapes; undefined for those that are not `needed`.
   *
   * @param gradient - F32, of the shape of the output.
   * @param saved - Other handles on `saved`, in its order. The tensors seen by the forward pass may be gone.
   * @param needed - For each input, whether it depends on a parameter.
   */
  backward(gradient: Tensor, saved: readonly Tensor[], needed: readonly boolean[]): readonly (Tensor | undefined)[];
}

/** How products with one parameter are computed instead of in F32; see `RecordingBackend.parameter`. */
export interface LinearProduct extends Disposable {
  /**
   * y = x W^T, recorded on `backend`.
   *
   * @param x - F32 [..., in].
   * @param weight - The parameter, F32 [out, in].
   */
  linear(backend: RecordingBackend, x: Tensor, weight: Tensor): Tensor;
}

export interface ParameterOptions {
  /** What `backend.linear` does with a weight made of this parameter. Disposed with it. Default: a product in F32. */
  readonly product?: LinearProduct;
}

/** How `RecordingBackend.backward` works. */
export interface BackwardOptions {
  /** Parameters to give gradients of. Default: all parameters of the backend. */
  readonly parameters?: Iterable<Tensor>;
  /** Gradient of the result itself, of its shape. Default: 1, for a result of one element. */
  readonly seed?: Tensor;
  /** Keep the graph for another pass through it. Default false: each part is freed once it was used. */
  readonly keepGraph?: boolean;
}

export abstract class RecordingBackend extends Backend {
  readonly name: string;
  /** The backend that computes. It is not disposed with this one. */
  readonly inner: Backend;

  readonly #variables = new WeakMap<Tensor, Variable>();
  readonly #parameters = new Set<Tensor>();
  readonly #products = new Map<Tensor, LinearProduct>();
  readonly #writes: WriteCounts = new WeakMap();
  #lastId = 0;
  #paused = 0;

  constructor(inner: Backend) {
    super();
    this.inner = inner;
    this.name = `autodiff(${inner.name})`;
  }

  get capabilities(): Capabilities {
    return { ...this.inner.capabilities, weightFormats: ['f32'] };
  }

  // ---------------------------------------------------------------------------------------------------------------
  // Parameters and gradients
  // ---------------------------------------------------------------------------------------------------------------

  /**
   * Makes a tensor a parameter: what is computed from it is recorded from now on. It is taken out of all scopes, and is
   * a parameter until it is disposed.
   *
   * @param tensor - F32, of this backend, or of the wrapped one (which is then taken over).
   * @returns The tensor itself, or the handle of this backend on it.
   * @throws MarianaError `DTYPE_MISMATCH`, `INVALID_ARGUMENT` for the result of a recorded operation.
   */
  parameter(tensor: Tensor, { product }: ParameterOptions = {}): Tensor {
    const own = tensor.backend === this.inner ? this.adopt(tensor) : tensor;
    this.own(own);
    if (own.dtype !== 'f32') {
      throw new MarianaError('DTYPE_MISMATCH', `parameter: takes F32, not a ${own}; cast it first`);
    }
    if (this.#parameters.has(own)) return own;
    if (this.isTracked(own)) {
      throw new MarianaError(
        'INVALID_ARGUMENT',
        `parameter: this ${own} was computed from parameters; compute it in backend.untracked(() => ...)`,
      );
    }
    this.#variables.set(own, { id: ++this.#lastId, shape: own.shape, maker: null, holders: 1 });
    this.#parameters.add(own);
    if (product) this.#products.set(own, product);
    return this.keep(own);
  }

  /** Whether the tensor depends on a parameter, or is one. */
  isTracked(tensor: Tensor): boolean {
    return this.#variables.has(tensor);
  }

  /**
   * Computes without recording, as for the update of parameters or an evaluation: results are constants. Where `body`
   * is asynchronous, nothing is recorded until it settles, in whatever runs meanwhile.
   */
  untracked<Result>(body: () => Result): Result {
    this.#paused++;
    let waiting = false;
    try {
      const result = body();
      if (result instanceof Promise) {
        waiting = true;
        return result.finally(() => this.#paused--) as Result;
      }
      return result;
    } finally {
      if (!waiting) this.#paused--;
    }
  }

  /**
   * Gradients of a loss by its parameters.
   *
   * @param loss - F32 of one element, or of any shape with a `seed`.
   * @returns One entry for each parameter; zeros where the loss does not depend on it. The tensors are constants of this
   *   backend, made in the current scope.
   * @throws MarianaError `NOT_DIFFERENTIABLE` if the loss depends on no parameter, was used by a backward pass before,
   *   or needs a tensor that `writeRows` has changed; `SHAPE_MISMATCH`.
   */
  backward(loss: Tensor, options: BackwardOptions = {}): Map<Tensor, Tensor> {
    const { parameters = this.#parameters, keepGraph = false } = options;
    this.own(loss);
    const root = this.#variables.get(loss);
    if (!root) {
      throw new MarianaError(
        'NOT_DIFFERENTIABLE',
        `backward: this ${loss} depends on no parameter; mark some with backend.parameter before computing it`,
      );
    }
    const found = propagate(this.inner, root, this.#seed(loss, options.seed), this.#writes, keepGraph);
    const gradients = new Map<Tensor, Tensor>();
    for (const parameter of parameters) {
      const variable = this.#variables.get(parameter);
      const gradient = variable && found.get(variable);
      if (variable) found.delete(variable);
      gradients.set(parameter, this.adopt(gradient ?? zerosOf(this.inner, parameter.shape)));
    }
    for (const gradient of found.values()) gradient.dispose();
    return gradients;
  }

  #seed(loss: Tensor, seed: Tensor | undefined): Tensor {
    if (seed !== undefined) {
      if (seed.dtype !== 'f32' || seed.size !== loss.size) {
        throw new MarianaError('SHAPE_MISMATCH', `backward: a ${seed} cannot be the gradient of a ${loss}`);
      }
      return this.inner.keep(this.inner.reshape(this.unwrap(seed), loss.shape));
    }
    if (loss.size !== 1) {
      throw new MarianaError(
        'SHAPE_MISMATCH',
        `backward: a loss has one element, this is a ${loss}; sum it up, or give a seed of its shape`,
      );
    }
    return this.inner.keep(this.inner.upload(Float32Array.of(1), loss.shape));
  }

  /**
   * An operation with a gradient of its own, for what the primitives differentiate badly (quantised products) or slowly
   * (fused kernels). Both directions compute on the wrapped backend, on its tensors, each in a scope of its own.
   *
   * @param inputs - Tensors of this backend.
   * @param forward - Gets the inputs as tensors of the wrapped backend.
   */
  custom(
    operation: string,
    inputs: readonly Tensor[],
    forward: (inner: Backend, inputs: readonly Tensor[]) => CustomOperation,
  ): Tensor {
    const operands = inputs.map((input) => this.unwrap(input));
    const { output, saved, backward } = this.inner.scope(() => {
      const result = forward(this.inner, operands);
      // Handles of their own, so that what `forward` returns may be inputs, or freed by its scope.
      const own = (tensor: Tensor) => this.inner.reshape(tensor, tensor.shape);
      return {
        output: own(result.output),
        saved: (result.saved ?? []).map(own),
        backward: result.backward.bind(result),
      };
    });
    const rule = (): BackwardRule => (gradient, needed) => backward(gradient, saved, needed);
    return this.#record(operation, output, inputs, rule, saved);
  }

  /** Wraps a tensor of the wrapped backend, which is taken over. */
  adopt(tensor: Tensor): Tensor {
    if (tensor.backend !== this.inner) {
      throw new MarianaError(
        'WRONG_BACKEND',
        `adopt: a ${tensor} of ${tensor.backend.name} is not of ${this.inner.name}`,
      );
    }
    this.inner.keep(tensor);
    return this.make(tensor.shape, tensor.dtype, new Storage(tensor, tensor.storage.byteLength));
  }

  /** The tensor of the wrapped backend behind one of this backend, which keeps owning it. */
  unwrap(tensor: Tensor): Tensor {
    this.own(tensor);
    return tensor.storage.payload as Tensor;
  }

  // ---------------------------------------------------------------------------------------------------------------
  // Storage
  // ---------------------------------------------------------------------------------------------------------------

  upload(data: TensorData, shape: Shape, dtype?: TensorDType): Tensor {
    return this.adopt(this.inner.upload(data, shape, dtype));
  }

  async read(tensor: Tensor): Promise<TensorData> {
    return this.inner.read(this.unwrap(tensor));
  }

  /** @throws MarianaError `NOT_DIFFERENTIABLE` for a target or values that depend on parameters. */
  writeRows(target: Tensor, rows: Int32Array, values: Tensor): void {
    const into = this.unwrap(target);
    if (this.isTracked(target) || this.isTracked(values)) {
      throw new MarianaError(
        'NOT_DIFFERENTIABLE',
        `writeRows: ${this.isTracked(target) ? 'the target depends' : 'the values depend'} on parameters, and no gradient ` +
          'flows through a change in place; compute without a cache, or in backend.untracked(() => ...)',
      );
    }
    this.inner.writeRows(into, rows, this.unwrap(values));
    this.#writes.set(into.storage, (this.#writes.get(into.storage) ?? 0) + 1);
  }

  /** Tensors of this backend, and the bytes of the wrapped one: what the graph holds for a backward pass included. */
  override memory(): MemoryUse {
    return { tensors: super.memory().tensors, bytes: this.inner.memory().bytes };
  }

  override discard(tensor: Tensor, storage: Storage): void {
    super.discard(tensor, storage);
    this.#parameters.delete(tensor);
    this.#products.get(tensor)?.[Symbol.dispose]();
    this.#products.delete(tensor);
    const variable = this.#variables.get(tensor);
    if (!variable) return;
    this.#variables.delete(tensor);
    releaseVariable(variable);
  }

  protected release(storage: Storage): void {
    (storage.payload as Tensor).dispose();
  }

  /** The product that a parameter came with. */
  protected productOf(tensor: Tensor): LinearProduct | undefined {
    return this.#products.get(tensor);
  }

  // ---------------------------------------------------------------------------------------------------------------
  // Recording
  // ---------------------------------------------------------------------------------------------------------------

  /** Sums the result of a rule down to the shape of an operand that was stretched. */
  protected summedTo(shape: Shape, rule: Rule): Rule {
    return (gradient) => sumTo(this.inner, rule(gradient), shape);
  }

  /** Wraps a result, with a rule for each input that depends on parameters. */
  protected recordEach(
    operation: string,
    output: Tensor,
    inputs: readonly (readonly [input: Tensor, rule: (save: Save) => (gradient: Tensor) => Share])[],
  ): Tensor {
    const tensors = inputs.map(([input]) => input);
    return this.#record(operation, output, tensors, (save) => {
      const rules = inputs.map(([input, rule]) => (this.isTracked(input) ? rule(save) : undefined));
      return (gradient) => rules.map((rule) => rule?.(gradient));
    });
  }

  /**
   * Wraps a result of the wrapped backend, and records how it came about if it depends on parameters.
   *
   * @param taken - Handles for the backward pass that are taken over, beside those that `rule` saves.
   */
  #record(
    operation: string,
    output: Tensor,
    inputs: readonly Tensor[],
    rule: (save: Save) => BackwardRule,
    taken: readonly Tensor[] = [],
  ): Tensor {
    const result = this.adopt(output);
    const variables = this.#paused > 0 ? [] : inputs.map((input) => this.#variables.get(input));
    if (!variables.some((variable) => variable !== undefined)) {
      for (const tensor of taken) tensor.dispose();
      return result;
    }
    const saved: Saved[] = [];
    const hold = (tensor: Tensor) => {
      const handle = this.inner.keep(tensor);
      saved.push({ tensor: handle, writes: this.#writes.get(handle.storage) ?? 0 });
      return handle;
    };
    const save = (tensor: Tensor) => hold(this.inner.reshape(tensor, tensor.shape));
    for (const tensor of taken) hold(tensor);
    const maker: Node = { operation, inputs: variables, saved, backward: rule(save) };
    for (const variable of variables) if (variable) variable.holders++;
    this.#variables.set(result, { id: ++this.#lastId, shape: result.shape, maker, holders: 1 });
    return result;
  }
}
