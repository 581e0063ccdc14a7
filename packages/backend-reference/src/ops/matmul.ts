/** Matrix product: three loops, sums in double precision. */
import { type MatmulOptions, type MatmulShape, type Shape, sizeOf } from '@mariana/core';
import { broadcastOffsets } from './elementwise.ts';

export function matmul(
  a: Float32Array,
  aShape: Shape,
  b: Float32Array,
  bShape: Shape,
  out: Float32Array,
  { batch, m, n, k }: MatmulShape,
  { transposeA = false, transposeB = false }: MatmulOptions,
): void {
  const [aRow, aInner] = transposeA ? [1, m] : [k, 1];
  const [bInner, bColumn] = transposeB ? [1, k] : [n, 1];
  const aMatrices = broadcastOffsets(aShape.slice(0, -2), batch);
  const bMatrices = broadcastOffsets(bShape.slice(0, -2), batch);
  for (let matrix = 0; matrix < sizeOf(batch); matrix++) {
    const aStart = aMatrices[matrix]! * m * k;
    const bStart = bMatrices[matrix]! * k * n;
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let sum = 0;
        for (let inner = 0; inner < k; inner++) {
          sum += a[aStart + row * aRow + inner * aInner]! * b[bStart + inner * bInner + column * bColumn]!;
        }
        out[matrix * m * n + row * n + column] = sum;
      }
    }
  }
}
