/** Default body of `groupedLinear`: one batched matrix product over the groups. */
import { MarianaError } from '../../errors.ts';
import type { Backend } from '../backend.ts';
import type { Tensor } from '../tensor.ts';
import type { Weight } from '../weight.ts';

export function groupedLinear(backend: Backend, x: Tensor, weight: Weight): Tensor {
  const [tokens, groups, inputs] = x.shape;
  const [rows, columns] = weight.shape;
  if (tokens === undefined || groups === undefined || x.rank !== 3 || inputs !== columns || rows % groups !== 0) {
    throw new MarianaError(
      'SHAPE_MISMATCH',
      `groupedLinear: ${x} does not fit a weight [${rows}, ${columns}]; pass [tokens, groups, ${columns}]`,
    );
  }
  return backend.scope(() => {
    const matrices = backend.reshape(backend.dequantize(weight), [groups, rows / groups, columns]);
    const y = backend.matmul(backend.transpose(x, [1, 0, 2]), matrices, { transposeB: true });
    return backend.transpose(y, [1, 0, 2]);
  });
}
