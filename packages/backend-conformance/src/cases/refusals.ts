/**
 * Operands that no operation may take: tensors of another backend, and tensors that are gone. Every operation is tried
 * with each of its operands replaced; a backend that looked at the payload first would crash or, worse, compute.
 */
import type { Backend, RoutingOptions, Shape, Tensor, TensorData, TensorDType } from '@mariana/core';
import { type CaseDefinition, example } from '../conformance-case.ts';
import { count } from '../oracle/indexing.ts';
import type { Workbench } from '../workbench.ts';

/** An operand that the operation takes: zeros of this shape and dtype. */
type Operand = readonly [shape: Shape, dtype?: TensorDType];

/** One operation on operands that are right. */
interface Operation {
  readonly group: string;
  readonly operands: readonly Operand[];
  readonly call: (backend: Backend, tensors: readonly Tensor[]) => unknown;
}

const ROUTING: RoutingOptions = {
  scoring: 'sigmoid',
  topK: 1,
  groups: 1,
  topGroups: 1,
  groupScore: 'max',
  normalize: false,
  scale: 1,
};

const matrix: Operand = [[2, 2]];
const ids: Operand = [[2], 'i32'];

const OPERATIONS: readonly Operation[] = [
  { group: 'read', operands: [matrix], call: (b, [x]) => b.read(x!) },
  { group: 'writeRows', operands: [matrix, matrix], call: (b, [t, v]) => b.writeRows(t!, Int32Array.of(0, 1), v!) },
  { group: 'unary', operands: [matrix], call: (b, [x]) => b.unary('exp', x!) },
  { group: 'binary', operands: [matrix, [[2]]], call: (b, [x, y]) => b.binary('add', x!, y!) },
  { group: 'where', operands: [ids, matrix, matrix], call: (b, [c, x, y]) => b.where(c!, x!, y!) },
  { group: 'reduce', operands: [matrix], call: (b, [x]) => b.reduce('sum', x!, 0) },
  { group: 'matmul', operands: [matrix, matrix], call: (b, [x, y]) => b.matmul(x!, y!) },
  { group: 'gather', operands: [matrix, ids], call: (b, [x, i]) => b.gather(x!, i!) },
  { group: 'scatterAdd', operands: [ids, matrix], call: (b, [i, x]) => b.scatterAdd(i!, x!, 2) },
  { group: 'topK', operands: [matrix], call: (b, [x]) => b.topK(x!, 1) },
  { group: 'slice', operands: [matrix], call: (b, [x]) => b.slice(x!, 0, 0, 1) },
  { group: 'concat', operands: [matrix, matrix], call: (b, [x, y]) => b.concat([x!, y!], 0) },
  { group: 'transpose', operands: [matrix], call: (b, [x]) => b.transpose(x!, [1, 0]) },
  { group: 'reshape', operands: [matrix], call: (b, [x]) => b.reshape(x!, [4]) },
  { group: 'cast', operands: [matrix], call: (b, [x]) => b.cast(x!, 'bf16') },
  { group: 'cast', operands: [matrix], call: (b, [x]) => b.cast(x!, 'f32') },
  { group: 'denseWeight', operands: [matrix], call: (b, [x]) => b.denseWeight(x!) },
  { group: 'rmsNorm', operands: [matrix, [[2]]], call: (b, [x, w]) => b.rmsNorm(x!, w!, 1e-6) },
  { group: 'rotary', operands: [[[2, 1, 2]], [[2, 1]], [[2, 1]]], call: (b, [x, c, s]) => b.rotary(x!, c!, s!) },
  { group: 'swiglu', operands: [matrix, matrix], call: (b, [g, u]) => b.swiglu(g!, u!) },
  { group: 'softmax', operands: [matrix], call: (b, [x]) => b.softmax(x!) },
  { group: 'route', operands: [matrix, [[2]]], call: (b, [x, bias]) => b.route(x!, bias!, ROUTING) },
  {
    group: 'attention',
    operands: [[[1, 2, 1, 2]], [[1, 2, 1, 2]], [[1, 2, 1, 2]]],
    call: (b, [q, k, v]) => b.attention(q!, k!, v!, { scale: 1 }),
  },
  {
    group: 'latentAttention',
    operands: [[[2, 1, 3]], [[4, 3]]],
    call: (b, [q, pool]) =>
      b.latentAttention(
        q!,
        { pool: pool!, pageSize: 2, pages: Int32Array.of(0), length: 2 },
        { latentDim: 2, scale: 1 },
      ),
  },
  { group: 'quantizeActivations', operands: [matrix], call: (b, [x]) => b.quantizeActivations(x!) },
];

function zeros([shape, dtype = 'f32']: Operand): [TensorData, Shape, TensorDType] {
  const data = dtype === 'i32' ? new Int32Array(count(shape)) : new Float32Array(count(shape));
  return [data, shape, dtype];
}

async function tryEach(bench: Workbench, operation: Operation): Promise<void> {
  const { operands, call } = operation;
  for (const replaced of operands.keys()) {
    const mixed = operands.map((operand, i) => {
      const [data, shape, dtype] = zeros(operand);
      return i === replaced ? bench.foreignTensor(data, shape, dtype) : bench.tensor(data, shape, dtype);
    });
    const what = `operand ${replaced + 1} of another backend`;
    await bench.refuses(what, 'WRONG_BACKEND', () => call(bench.backend, mixed));
    const gone = operands.map((operand) => bench.tensor(...zeros(operand)));
    gone[replaced]!.dispose();
    await bench.refuses(`operand ${replaced + 1}, disposed,`, 'TENSOR_DISPOSED', () => call(bench.backend, gone));
  }
}

export const refusalCases: readonly CaseDefinition[] = [...Map.groupBy(OPERATIONS, (one) => one.group)].map(
  ([group, operations]) =>
    example(group, 'refuses tensors of another backend and disposed ones, and leaves nothing behind', async (bench) => {
      for (const operation of operations) await tryEach(bench, operation);
    }),
);
