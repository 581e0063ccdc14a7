/**
 * The reference backend with F32 tensors held in double precision, so that finite differences can tell a wrong gradient
 * from rounding. For tests only: what it calls F32 is not.
 */
import { ReferenceBackend } from '@mariana/backend-reference';
import { type Shape, Storage, type Tensor, type TensorData, type TensorDType } from '@mariana/core';

export class Float64Backend extends ReferenceBackend {
  override readonly name: string = 'float64';

  protected override allocate(dtype: TensorDType, length: number): Storage<TensorData> {
    if (dtype !== 'f32') return super.allocate(dtype, length);
    const data = new Float64Array(length);
    return new Storage(data as unknown as TensorData, data.byteLength);
  }

  /** Uploads doubles without rounding them. */
  uploadDoubles(values: readonly number[], shape: Shape): Tensor {
    const out = this.empty(shape, 'f32');
    this.data(out).set(values);
    return out;
  }
}
