/**
 * The contract between Mariana and whatever computes. Everything above it (layers, runtime, training) knows this class
 * only; everything below it implements this class.
 *
 * It has two tiers. **Primitives** are abstract: sixteen methods that hold tensors and do general mathematics on them.
 * **Composites** are what a DeepSeek-V3 is made of: each has a default body written in primitives, and a backend
 * overrides those that it can fuse. So a new backend is right after the primitives and fast after the overrides, and a
 * backend that wraps another one (autodiff, tracing) sees every operation as primitives.
 *
 * Rules that hold for every method:
 * - Operations return at once with handles; only `read` waits for the device. (`experts` is a promise too: a backend
 *   that streams experts from disk, or groups tokens by expert on the host, must read the routing first.)
 * - Tensors are contiguous, row-major and never change, except the target of `writeRows`.
 * - Arithmetic is on `f32`, indices are `i32`; the other dtypes are for storage and can be cast, gathered, sliced,
 *   concatenated, reshaped, transposed, written and read.
 * - Operands that do not fit are refused with a `MarianaError` (`SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `WRONG_BACKEND`,
 *   `TENSOR_DISPOSED`) before anything is computed.
 * - Whatever a scope makes and does not return is freed when it ends.
 *
 * The suite in `@mariana/backend-conformance` is this contract as tests.
 */
import type { TensorData, TensorDType } from '../dtype/index.ts';
import { MarianaError } from '../errors.ts';
import type { Capabilities, MemoryUse } from './capabilities.ts';
import { adamw } from './composites/adamw.ts';
import { adamwAll, squaredNorms } from './composites/adamw-all.ts';
import { attention, latentAttention } from './composites/attention.ts';
import { attentionGradients } from './composites/attention-gradients.ts';
import { candidates } from './composites/candidates.ts';
import { rmsNorm, rotary, softmax, swiglu } from './composites/elementary.ts';
import { experts } from './composites/experts.ts';
import { crossEntropy, crossEntropyGradients, rmsNormGradients, swigluGradients } from './composites/gradients.ts';
import { groupedLinear } from './composites/grouped-linear.ts';
import { matmulGroups, matmulWithinGroups } from './composites/matmul-groups.ts';
import { muon } from './composites/muon.ts';
import { quantizeActivations } from './composites/quantize-activations.ts';
import { route } from './composites/route.ts';
import { decodeWeight } from './decode-weight.ts';
import type {
  AdamWAllOptions,
  AdamWOptions,
  AdamWState,
  AttentionGradients,
  AttentionOptions,
  AttentionPass,
  BinaryOp,
  CrossEntropy,
  LatentAttentionOptions,
  LatentCacheView,
  MatmulGroupsOptions,
  MatmulOptions,
  MuonOptions,
  MuonState,
  QuantizeActivationsOptions,
  QuantizedActivations,
  ReduceOp,
  ReduceOptions,
  RmsNormGradients,
  Routing,
  RoutingOptions,
  SwigluGradients,
  TokenCandidates,
  UnaryOp,
} from './operations.ts';
import { checkDtype, checkShape } from './shapes.ts';
import { type Shape, type Storage, Tensor } from './tensor.ts';
import { tensorsIn } from './tensors-in.ts';
import { DenseWeight, type Weight, type WeightSource } from './weight.ts';

/** How `loadWeight` may treat a weight. */
export interface LoadWeightOptions {
  /** Keep the precision of the source, whatever format the backend was told to quantise to. Default false. */
  readonly precise?: boolean;
}

/** Expert matrices of one MoE layer, one of each per expert, in the order of the experts. */
export interface ExpertWeights {
  /** [moe_intermediate_size, hidden_size] each. */
  readonly gate: readonly Weight[];
  /** [moe_intermediate_size, hidden_size] each. */
  readonly up: readonly Weight[];
  /** [hidden_size, moe_intermediate_size] each. */
  readonly down: readonly Weight[];
}

export abstract class Backend {
  /** Version of this contract. A change that breaks implementations makes a new one. */
  readonly specificationVersion = 'v1' as const;

  /** Short name for messages and tables: `reference`, `cpu`, `webgpu`. */
  abstract readonly name: string;

  abstract readonly capabilities: Capabilities;

  // ---------------------------------------------------------------------------------------------------------------
  // Primitives: storage
  // ---------------------------------------------------------------------------------------------------------------

  /**
   * Makes a tensor from host values, which are copied.
   *
   * @param data - Values, or codes for `bf16`, `f16`, `e4m3`, `e5m2`. Its length must fill the shape.
   * @param dtype - Must match the array type. Default: `f32` for Float32Array, `i32` for Int32Array, `i8` for
   *   Int8Array, `u8` for Uint8Array; a Uint16Array needs it said.
   */
  abstract upload(data: TensorData, shape: Shape, dtype?: TensorDType): Tensor;

  /**
   * Copies the values (or codes) of a tensor to the host: the one place where the caller waits for the device. The values
   * are those at the moment of the call, whatever becomes of the tensor while they are waited for.
   */
  abstract read(tensor: Tensor): Promise<TensorData>;

  /**
   * Overwrites whole rows of `target` in place: row `rows[i]` becomes `values[i]`, converted to the target's dtype.
   * The one operation that changes a tensor; it exists for caches.
   *
   * @param target - [N, ...], dtype `f32`, `bf16` or `f16`.
   * @param rows - Distinct row numbers below N.
   * @param values - F32 [rows.length, ...].
   */
  abstract writeRows(target: Tensor, rows: Int32Array, values: Tensor): void;

  /** Frees the storage of tensors that are gone. Called by this class, once a storage has lost its last handle. */
  protected abstract release(storage: Storage): void;

  // ---------------------------------------------------------------------------------------------------------------
  // Primitives: mathematics
  // ---------------------------------------------------------------------------------------------------------------

  /** Applies a function to every element. F32 in, F32 out. */
  abstract unary(op: UnaryOp, x: Tensor): Tensor;

  /**
   * Combines two tensors element by element. Shapes broadcast: axes are aligned at the end, size 1 stretches.
   * Both F32 or both I32 (no `div`); comparisons return I32 zeros and ones.
   */
  abstract binary(op: BinaryOp, a: Tensor, b: Tensor): Tensor;

  /** Takes `a` where the condition (I32) is not zero, else `b` (of one dtype). All three shapes broadcast. */
  abstract where(condition: Tensor, a: Tensor, b: Tensor): Tensor;

  /** Reduces one axis (negative counts from the end). F32 in, F32 out. */
  abstract reduce(op: ReduceOp, x: Tensor, axis: number, options?: ReduceOptions): Tensor;

  /**
   * Matrix product over the last two axes: [..., M, K] times [..., K, N] gives [..., M, N]. Leading axes broadcast.
   * F32; accumulated in F32 or better.
   */
  abstract matmul(a: Tensor, b: Tensor, options?: MatmulOptions): Tensor;

  /**
   * Takes rows: data [N, ...rest] at indices (I32, any shape, each below N) gives [...indices.shape, ...rest].
   * Indices out of range are refused with `INVALID_ARGUMENT` where the host can see them; a device cannot.
   */
  abstract gather(data: Tensor, indices: Tensor): Tensor;

  /** Sums rows: zeros [rows, ...rest], with updates[i] (F32 [M, ...rest]) added at row indices[i] (I32 [M]). */
  abstract scatterAdd(indices: Tensor, updates: Tensor, rows: number): Tensor;

  /**
   * The k largest values of the last axis, largest first; of equal ones the first. F32.
   * Where NaN occurs the order is undefined, but indices are valid and distinct.
   */
  abstract topK(x: Tensor, k: number): { values: Tensor; indices: Tensor };

  /** Takes `start` (included) to `end` (excluded) of one axis. */
  abstract slice(x: Tensor, axis: number, start: number, end: number): Tensor;

  /** Joins tensors of one dtype along an axis. */
  abstract concat(tensors: readonly Tensor[], axis: number): Tensor;

  /** Reorders the axes: axis i of the result is axis permutation[i] of x. */
  abstract transpose(x: Tensor, permutation: readonly number[]): Tensor;

  /**
   * Converts to another dtype. To a shorter float: round to nearest, ties to even; E4M3 and E5M2 saturate. From F32 to
   * integers: towards zero, saturating, NaN to 0. Between F32 and any other dtype; the other pairs go through F32.
   */
  abstract cast(x: Tensor, dtype: TensorDType): Tensor;

  /** The same values under another shape, without a copy: the result shares storage with x. */
  reshape(x: Tensor, shape: Shape): Tensor {
    checkShape('reshape', shape, x.size);
    this.own(x);
    return this.make(shape, x.dtype, x.storage);
  }

  // ---------------------------------------------------------------------------------------------------------------
  // Composites: the parts of the model, each with a default in primitives
  // ---------------------------------------------------------------------------------------------------------------

  /**
   * y = x W^T.
   *
   * @param x - F32 [..., in].
   * @param weight - [out, in] in any format.
   * @returns F32 [..., out].
   */
  linear(x: Tensor, weight: Weight): Tensor {
    return this.scope(() => {
      const rows = x.shape.length === 1 ? this.reshape(x, [1, x.size]) : x;
      const y = this.matmul(rows, this.dequantize(weight), { transposeB: true });
      return x.shape.length === 1 ? this.reshape(y, [weight.shape[0]]) : y;
    });
  }

  /**
   * A linear map of its own for each group of the input, such as an attention head: y[t, g] = W_g x[t, g].
   *
   * @param x - F32 [T, groups, in].
   * @param weight - [groups * out, in]: the matrices W_g, one below the other.
   * @returns F32 [T, groups, out].
   */
  groupedLinear(x: Tensor, weight: Weight): Tensor {
    return groupedLinear(this, x, weight);
  }

  /** Rows of an embedding matrix: ids (I32 [T]) of weight [vocab_size, hidden_size] give F32 [T, hidden_size]. */
  embed(ids: Tensor, weight: Weight): Tensor {
    return this.scope(() => {
      const table = weight instanceof DenseWeight ? weight.tensor : this.dequantize(weight);
      return this.cast(this.gather(table, ids), 'f32');
    });
  }

  /**
   * The F32 values of a weight, as a tensor [out, in] that may share storage with it.
   * A backend that packs weights must override this.
   */
  dequantize(weight: Weight): Tensor {
    if (weight.backend !== this) throw this.foreign('weight', weight.backend);
    if (weight instanceof DenseWeight) {
      return weight.tensor.dtype === 'f32'
        ? this.reshape(weight.tensor, weight.shape)
        : this.cast(weight.tensor, 'f32');
    }
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `backend ${this.name} made a ${weight.format} weight that it cannot decode; it must override dequantize`,
    );
  }

  /** x / sqrt(mean(x^2) + epsilon) * weight over the last axis. x: F32 [..., D]; weight: F32 [D]. */
  rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
    return rmsNorm(this, x, weight, epsilon);
  }

  /**
   * Rotates pairs (2i, 2i + 1) of the last axis by the angle of their position.
   *
   * @param x - F32 [T, heads, D], D even, in the interleaved order of the checkpoints.
   * @param cos - F32 [T, D / 2].
   * @param sin - F32 [T, D / 2].
   */
  rotary(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
    return rotary(this, x, cos, sin);
  }

  /** gate * sigmoid(gate) * up, of two tensors of one shape. */
  swiglu(gate: Tensor, up: Tensor): Tensor {
    return swiglu(this, gate, up);
  }

  /** Softmax over the last axis. A row of minus infinities gives NaN. */
  softmax(x: Tensor): Tensor {
    return softmax(this, x);
  }

  /**
   * Chooses experts for each token. See `RoutingOptions` for the rules; groups that are not chosen are masked with minus
   * infinity (never with zero). No gradient flows through the choice or the bias, only through the weights.
   *
   * @param logits - F32 [T, experts].
   * @param bias - F32 [experts], added for the choice only (`e_score_correction_bias`), or null.
   */
  route(logits: Tensor, bias: Tensor | null, options: RoutingOptions): Routing {
    return route(this, logits, bias, options);
  }

  /**
   * The routed half of a MoE layer: for each token the weighted sum of its chosen experts' outputs, each
   * down(silu(gate(x)) * up(x)).
   *
   * @param x - F32 [T, hidden_size].
   * @param routing - indices I32 [T, k] and weights F32 [T, k].
   * @returns F32 [T, hidden_size].
   */
  experts(x: Tensor, routing: Pick<Routing, 'indices' | 'weights'>, weights: ExpertWeights): Promise<Tensor> {
    return experts(this, x, routing, weights);
  }

  /**
   * A matrix product for each group of rows: y[r] = x[r] W_g for the rows r of group g, as experts multiply the tokens
   * that they were sent.
   *
   * @param x - F32 [R, K], group after group.
   * @param counts - Rows of each group, R together; none is fine.
   * @param weights - F32 [K, N], one for each group; at least one.
   * @returns F32 [R, N].
   * @throws MarianaError `INVALID_ARGUMENT` for a count that is no whole number from 0.
   */
  matmulGroups(
    x: Tensor,
    counts: readonly number[],
    weights: readonly Tensor[],
    options?: MatmulGroupsOptions,
  ): Tensor {
    return matmulGroups(this, x, counts, weights, options);
  }

  /**
   * The product of two matrices over the rows of each group: a_g^T b_g, the gradient of the matrices of `matmulGroups`.
   *
   * @param a - F32 [R, M], group after group.
   * @param b - F32 [R, N].
   * @param counts - Rows of each group, R together; a group without any gives zeros.
   * @returns F32 [M, N], one for each group.
   * @throws MarianaError `INVALID_ARGUMENT` for a count that is no whole number from 0.
   */
  matmulWithinGroups(a: Tensor, b: Tensor, counts: readonly number[]): Tensor[] {
    return matmulWithinGroups(this, a, b, counts);
  }

  /**
   * Causal attention with keys and values per head (the naive form of MLA).
   *
   * @param q - F32 [batch, queries, heads, D].
   * @param k - F32 [batch, keys, heads, D].
   * @param v - F32 [batch, keys, heads, V].
   * @returns F32 [batch, queries, heads, V].
   */
  attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
    return attention(this, q, k, v, options);
  }

  /**
   * Causal attention against cached latents (the absorbed form of MLA): queries are folded into the latent space, every
   * head reads the same rows, and the result is still in the latent space.
   *
   * @param q - F32 [queries, heads, latent + rope].
   * @returns F32 [queries, heads, latent].
   */
  latentAttention(q: Tensor, cache: LatentCacheView, options: LatentAttentionOptions): Tensor {
    return latentAttention(this, q, cache, options);
  }

  /**
   * The k most probable tokens of a row of logits, on the host: what a sampler mostly needs of a vocabulary. A backend of a
   * device finds them there, so that a decoded token costs a read of a few bytes. NaN counts as larger than everything, so
   * that it is seen. Both sums over the row err by at most 2^-12 of themselves; they are NaN if the best logit is not finite.
   *
   * @param logits - F32 of one row: [vocab_size] or [1, vocab_size].
   * @param k - 1 to 1024, and at most vocab_size.
   * @param temperature - Above 0. Divides the logits in `scaledLogSumExp`. Default 1.
   * @throws MarianaError `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `INVALID_ARGUMENT`
   */
  async candidates(logits: Tensor, k: number, temperature = 1): Promise<TokenCandidates> {
    return candidates(this, logits, k, temperature);
  }

  /**
   * Quantises activations to E4M3 with a scale for each tile of the last axis: scale = max(amax, 1e-4) / 448
   * (`act_quant` in DeepSeek's kernel.py).
   */
  quantizeActivations(x: Tensor, options?: QuantizeActivationsOptions): QuantizedActivations {
    return quantizeActivations(this, x, options);
  }

  /**
   * A parameter and its moments after one step of AdamW, in new tensors; moments keep their dtypes. All in F32:
   *
   * 1. p <- p * (1 - lr * decay), for two or more axes.
   * 2. m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g^2.
   * 3. p <- p - lr / (1 - beta1^n) * m / (sqrt(v) / sqrt(1 - beta2^n) + epsilon).
   *
   * A zero gradient is a gradient: the tensor decays and its moments fade.
   *
   * @param gradient - F32, of the shape of the parameter.
   * @throws MarianaError `INVALID_ARGUMENT` for a step below 1.
   */
  adamw(state: AdamWState, gradient: Tensor, options: AdamWOptions): AdamWState {
    return adamw(this, state, gradient, options);
  }

  /**
   * `adamw` for every parameter of a model, with a factor on all gradients.
   *
   * @param gradients - F32, one for each state, of the shape of its parameter.
   * @throws MarianaError `INVALID_ARGUMENT` for a step below 1.
   */
  adamwAll(states: readonly AdamWState[], gradients: readonly Tensor[], options: AdamWAllOptions): AdamWState[] {
    return adamwAll(this, states, gradients, options);
  }

  /**
   * Matrices and their momenta after one step of Muon, in new tensors; momenta keep their dtypes. For each, all in F32:
   *
   * 1. m <- momentum m + (1 - momentum) g; u = momentum m + (1 - momentum) g (Nesterov).
   * 2. x = u / max(||u||, 1e-7), by the Frobenius norm; then five times x <- 3.4445 x - 4.775 (x x^T) x +
   *    2.0315 (x x^T)^2 x, which brings all singular values that are not tiny near 1 (0.7 to 1.2). A backend may reach the
   *    same polynomial of x by other products.
   * 3. p <- p (1 - lr decay) - 0.2 lr sqrt(max(rows, columns)) x: as large as a step of AdamW, whose learning rate and
   *    decay suit it.
   *
   * @param gradients - F32, one for each state, of the shape of its parameter.
   * @throws MarianaError `SHAPE_MISMATCH` for what is no matrix, `INVALID_ARGUMENT` for a momentum outside 0 (included) to 1.
   */
  muon(states: readonly MuonState[], gradients: readonly Tensor[], options: MuonOptions): MuonState[] {
    return muon(this, states, gradients, options);
  }

  /** The sum of squares of each tensor: F32 of any shapes give F32 [number of tensors]. */
  squaredNorms(tensors: readonly Tensor[]): Tensor {
    return squaredNorms(this, tensors);
  }

  // ---------------------------------------------------------------------------------------------------------------
  // Composites: their gradients, given the gradient of their result
  // ---------------------------------------------------------------------------------------------------------------

  /** Gradients of `swiglu(gate, up)`. All of one shape. */
  swigluGradients(gradient: Tensor, gate: Tensor, up: Tensor): SwigluGradients {
    return swigluGradients(this, gradient, gate, up);
  }

  /** Gradients of `rmsNorm(x, weight, epsilon)`. */
  rmsNormGradients(gradient: Tensor, x: Tensor, weight: Tensor, epsilon: number): RmsNormGradients {
    return rmsNormGradients(this, gradient, x, weight, epsilon);
  }

  /** Gradients of `attention(q, k, v, options)`; no query may be later than the last key. */
  attentionGradients(gradient: Tensor, pass: AttentionPass, options: AttentionOptions): AttentionGradients {
    return attentionGradients(this, gradient, pass, options);
  }

  /**
   * -log softmax(logits)[target] of each row.
   *
   * @param logits - F32 [T, N].
   * @param targets - I32 [T], each below N.
   */
  crossEntropy(logits: Tensor, targets: Tensor): CrossEntropy {
    return crossEntropy(this, logits, targets);
  }

  /**
   * The gradient of the logits: (softmax(logits) - one-hot(target)) times the gradient of each row's loss.
   *
   * @param gradient - F32 [T]: of the losses.
   * @param normalizers - F32 [T]: what `crossEntropy` gave beside them.
   * @returns F32 [T, N].
   */
  crossEntropyGradients(gradient: Tensor, logits: Tensor, targets: Tensor, normalizers: Tensor): Tensor {
    return crossEntropyGradients(this, gradient, logits, targets, normalizers);
  }

  // ---------------------------------------------------------------------------------------------------------------
  // Weights
  // ---------------------------------------------------------------------------------------------------------------

  /**
   * Reads a weight and holds it in the best form that this backend has for it. The default decodes to F32.
   *
   * @param options - `precise` weights (routers) keep the precision of their source even where the backend was told to
   *   quantise.
   * @throws MarianaError `TENSOR_INVALID` for FP8 NaN codes, `OUT_OF_MEMORY`, or what the source throws.
   */
  async loadWeight(source: WeightSource, _options?: LoadWeightOptions): Promise<Weight> {
    const values = await decodeWeight(source);
    return this.denseWeight(this.upload(values, source.shape));
  }

  /**
   * Loads weights of one shape that are used together, such as the experts of a layer, so that a backend can place them
   * side by side. The default loads one after the other.
   */
  async loadWeights(sources: readonly WeightSource[]): Promise<Weight[]> {
    const weights: Weight[] = [];
    try {
      for (const source of sources) weights.push(await this.loadWeight(source));
    } catch (error) {
      for (const weight of weights) weight.dispose();
      throw error;
    }
    return weights;
  }

  /**
   * Bytes that `loadWeight` would take for such a weight, known before it is read: the weight's `byteLength`, and what
   * `memory()` grows by. The default answers for F32.
   */
  weightBytes(source: Pick<WeightSource, 'format' | 'shape'>, _options?: LoadWeightOptions): number {
    return 4 * source.shape[0] * source.shape[1];
  }

  /** A weight made of a tensor of this backend (F32, BF16 or F16 [out, in]), which it takes over. */
  denseWeight(tensor: Tensor): Weight {
    this.own(tensor);
    checkDtype('denseWeight', tensor, 'f32', 'bf16', 'f16');
    const [out, inputs] = tensor.shape;
    if (tensor.rank !== 2 || out === undefined || inputs === undefined) {
      throw new MarianaError('SHAPE_MISMATCH', `denseWeight: takes a matrix [out, in], not a ${tensor}`);
    }
    return new DenseWeight(this.keep(tensor), [out, inputs], tensor.dtype as 'f32' | 'bf16' | 'f16');
  }

  // ---------------------------------------------------------------------------------------------------------------
  // Lifetimes
  // ---------------------------------------------------------------------------------------------------------------

  readonly #scopes: Tensor[][] = [];
  #tensors = 0;
  #bytes = 0;

  /**
   * Runs `body` and frees every tensor that it made, except those in its result (a tensor, or an array or plain object
   * of such, nested at will). Scopes nest. `body` must be synchronous; where something has to be awaited, hold
   * temporaries with `using` and open a scope on each side of the await.
   *
   * @throws MarianaError `INVALID_ARGUMENT` if body returns a promise.
   */
  scope<Result>(body: () => Result): Result {
    const made: Tensor[] = [];
    this.#scopes.push(made);
    let kept: Set<Tensor> | undefined;
    try {
      const result = body();
      if (result instanceof Promise) {
        result.catch(() => {}); // its tensors are gone; the error below is the one to see
        throw new MarianaError('INVALID_ARGUMENT', 'scope: the body is asynchronous; hold its tensors with `using`');
      }
      kept = tensorsIn(result);
      return result;
    } finally {
      this.#scopes.pop();
      const outer = this.#scopes.at(-1);
      for (const tensor of made) {
        if (!kept?.has(tensor)) tensor.dispose();
        else outer?.push(tensor);
      }
    }
  }

  /** Takes a tensor out of all open scopes, so that it lives until it is disposed. */
  keep<T extends Tensor>(tensor: T): T {
    for (const made of this.#scopes) {
      const at = made.lastIndexOf(tensor);
      if (at >= 0) made.splice(at, 1);
    }
    return tensor;
  }

  /** What is alive now. A generation that leaks shows here. */
  memory(): MemoryUse {
    return { tensors: this.#tensors, bytes: this.#bytes };
  }

  /** Gives back what the backend itself holds (threads, devices). Tensors must not be used afterwards. */
  dispose(): void {}

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** For implementations: a handle on new or shared storage, registered with the current scope. */
  protected make(shape: Shape, dtype: TensorDType, storage: Storage): Tensor {
    if (storage.holders === 0) this.#bytes += storage.byteLength;
    const tensor = new Tensor(this, shape, dtype, storage);
    this.#tensors++;
    this.#scopes.at(-1)?.push(tensor);
    return tensor;
  }

  /** For implementations: refuses tensors of other backends, and disposed ones. */
  protected own(...tensors: readonly Tensor[]): void {
    for (const tensor of tensors) {
      if (tensor.backend !== this) throw this.foreign(`${tensor}`, tensor.backend);
      tensor.assertAlive();
    }
  }

  /** Called by `Tensor.dispose` only. */
  discard(_tensor: Tensor, storage: Storage): void {
    this.#tensors--;
    if (--storage.holders > 0) return;
    this.#bytes -= storage.byteLength;
    this.release(storage);
  }

  private foreign(what: string, other: Backend): MarianaError {
    return new MarianaError(
      'WRONG_BACKEND',
      `a ${what} of backend ${other.name} was given to backend ${this.name}; read it and upload it there`,
    );
  }
}
