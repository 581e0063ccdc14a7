/**
 * Default bodies of the products of groups of rows: one matrix product after the other, on slices. What the experts of a
 * layer do to the tokens that they were sent, and the gradients of that, are such products.
 */
import { MarianaError } from '../../errors.ts';
import type { Backend } from '../backend.ts';
import type { MatmulGroupsOptions } from '../operations.ts';
import { checkDtype } from '../shapes.ts';
import type { Shape, Tensor } from '../tensor.ts';

/** Rows of one group: `first` (included) to `end` (excluded). */
export interface RowGroup {
  readonly first: number;
  readonly end: number;
}

/** The groups in order. @throws MarianaError `INVALID_ARGUMENT` for a count that is none */
function groupsOf(operation: string, counts: readonly number[]): RowGroup[] {
  let end = 0;
  return counts.map((count) => {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new MarianaError('INVALID_ARGUMENT', `${operation}: a group cannot have ${count} rows`);
    }
    end += count;
    return { first: end - count, end };
  });
}

function mismatch(operation: string, message: string): MarianaError {
  return new MarianaError('SHAPE_MISMATCH', `${operation}: ${message}`);
}

/**
 * The groups of a `matmulGroups`, and the width of its result.
 *
 * @throws MarianaError `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `INVALID_ARGUMENT` for counts that are none
 */
export function matmulGroupsShape(
  x: Tensor,
  counts: readonly number[],
  weights: readonly Tensor[],
  { transposeB = false }: MatmulGroupsOptions = {},
): { groups: RowGroup[]; width: number } {
  const groups = groupsOf('matmulGroups', counts);
  checkDtype('matmulGroups', x, 'f32');
  const rows = groups.at(-1)?.end ?? 0;
  if (x.rank !== 2 || x.shape[0] !== rows) {
    throw mismatch('matmulGroups', `groups of ${rows} rows together do not fit a ${x}`);
  }
  const [first] = weights;
  if (first === undefined || weights.length !== counts.length) {
    throw mismatch('matmulGroups', `${weights.length} matrices for ${counts.length} groups; takes one for each group`);
  }
  const [inner, width] = transposeB ? [first.shape[1], first.shape[0]] : first.shape;
  for (const weight of weights) {
    checkDtype('matmulGroups', weight, 'f32');
    const same = weight.shape[0] === first.shape[0] && weight.shape[1] === first.shape[1];
    if (weight.rank === 2 && inner === x.shape[1] && same) continue;
    throw mismatch('matmulGroups', `a ${weight}${transposeB ? ' transposed' : ''} does not fit a ${x}`);
  }
  return { groups, width: width! };
}

export function matmulGroups(
  backend: Backend,
  x: Tensor,
  counts: readonly number[],
  weights: readonly Tensor[],
  options: MatmulGroupsOptions = {},
): Tensor {
  const { groups, width } = matmulGroupsShape(x, counts, weights, options);
  return backend.scope(() => {
    const products = groups.flatMap(({ first, end }, i) =>
      first === end ? [] : [backend.matmul(backend.slice(x, 0, first, end), weights[i]!, options)],
    );
    return products.length === 0 ? zeros(backend, [0, width]) : backend.concat(products, 0);
  });
}

/**
 * The groups of a `matmulWithinGroups`.
 *
 * @throws MarianaError `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `INVALID_ARGUMENT` for counts that are none
 */
export function matmulWithinGroupsShape(a: Tensor, b: Tensor, counts: readonly number[]): RowGroup[] {
  const groups = groupsOf('matmulWithinGroups', counts);
  const rows = groups.at(-1)?.end ?? 0;
  for (const operand of [a, b]) {
    checkDtype('matmulWithinGroups', operand, 'f32');
    if (operand.rank === 2 && operand.shape[0] === rows) continue;
    throw mismatch('matmulWithinGroups', `groups of ${rows} rows together do not fit a ${operand}`);
  }
  return groups;
}

export function matmulWithinGroups(backend: Backend, a: Tensor, b: Tensor, counts: readonly number[]): Tensor[] {
  const groups = matmulWithinGroupsShape(a, b, counts);
  return backend.scope(() =>
    groups.map(({ first, end }) => {
      if (first === end) return zeros(backend, [a.shape[1]!, b.shape[1]!]);
      const rows = (x: Tensor) => backend.slice(x, 0, first, end);
      return backend.matmul(rows(a), rows(b), { transposeA: true });
    }),
  );
}

function zeros(backend: Backend, shape: Shape): Tensor {
  return backend.upload(new Float32Array(shape.reduce((size, axis) => size * axis, 1)), shape);
}
