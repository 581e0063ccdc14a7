/** Primitives that are wrong in ways in which primitives are wrong: tails, ties, aliases, shortcuts. */
import { ReferenceBackend } from '@mariana/backend-reference';
import {
  type BinaryOp,
  type MatmulOptions,
  type ReduceOp,
  type ReduceOptions,
  type Shape,
  sizeOf,
  type Tensor,
  type TensorData,
  type TensorDType,
  toF32,
  type UnaryOp,
} from '@mariana/core';
import type { Mutant } from './mutant.ts';

/** A reference backend whose elementwise functions, and so on, can be bent. */
abstract class Bent extends ReferenceBackend {
  /** Applies a function to every element of a result, in place. */
  protected bend(x: Tensor, change: (value: number, i: number) => number): Tensor {
    const data = this.data(x);
    data.forEach((value, i) => {
      data[i] = change(value, i);
    });
    return x;
  }
}

class UploadAliases extends Bent {
  override upload(data: TensorData, shape: Shape, dtype?: TensorDType): Tensor {
    const tensor = super.upload(data, shape, dtype);
    Object.assign(tensor.storage, { payload: data });
    return tensor;
  }
}

class UploadLosesZeroSign extends Bent {
  override upload(data: TensorData, shape: Shape, dtype?: TensorDType): Tensor {
    return this.bend(super.upload(data, shape, dtype), (value) => value + 0);
  }
}

class ReadGivesStorage extends Bent {
  override async read(tensor: Tensor): Promise<TensorData> {
    return this.data(tensor);
  }
}

class ReadIsLate extends Bent {
  override async read(tensor: Tensor): Promise<TensorData> {
    await Promise.resolve();
    return super.read(tensor);
  }
}

class FloorByInteger extends Bent {
  override unary(op: UnaryOp, x: Tensor): Tensor {
    if (op !== 'floor') return super.unary(op, x);
    const from = this.floats(x);
    return this.bend(super.unary(op, x), (_, i) => Math.floor(from[i]!) | 0);
  }
}

class ExpIsCoarse extends Bent {
  override unary(op: UnaryOp, x: Tensor): Tensor {
    const y = super.unary(op, x);
    return op === 'exp' ? this.bend(y, (value) => value * (1 + 2 ** -20)) : y;
  }
}

class ExpStopsShort extends Bent {
  override unary(op: UnaryOp, x: Tensor): Tensor {
    const y = super.unary(op, x);
    return op === 'exp' ? this.bend(y, (value) => Math.min(value, 3e38)) : y;
  }
}

class SignOfNaNIsZero extends Bent {
  override unary(op: UnaryOp, x: Tensor): Tensor {
    const y = super.unary(op, x);
    return op === 'sign' ? this.bend(y, (value) => (Number.isNaN(value) ? 0 : value)) : y;
  }
}

class FlushesSubnormals extends Bent {
  override binary(op: BinaryOp, a: Tensor, b: Tensor): Tensor {
    return this.bend(super.binary(op, a, b), (value) => (Math.abs(value) < 2 ** -126 ? 0 : value));
  }
}

class MaxIgnoresNaN extends Bent {
  override binary(op: BinaryOp, a: Tensor, b: Tensor): Tensor {
    const y = super.binary(op, a, b);
    return op === 'max' ? this.bend(y, (value) => (Number.isNaN(value) ? 0 : value)) : y;
  }
}

class IntegersAsFloats extends Bent {
  override binary(op: BinaryOp, a: Tensor, b: Tensor): Tensor {
    if (a.dtype !== 'i32' || b.dtype !== 'i32') return super.binary(op, a, b);
    return this.scope(() => this.cast(super.binary(op, this.cast(a, 'f32'), this.cast(b, 'f32')), 'i32'));
  }
}

class BroadcastsRowsOnly extends Bent {
  override binary(op: BinaryOp, a: Tensor, b: Tensor): Tensor {
    const y = super.binary(op, a, b);
    if (op !== 'add' || a.dtype !== 'f32' || b.rank !== 2 || b.shape[1] !== 1 || a.shape[1] === 1) return y;
    const [left, right] = [this.data(a), this.data(b)];
    return this.bend(y, (_, i) => left[i % left.length]! + right[i % right.length]!);
  }
}

class WhereBlends extends Bent {
  override where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
    if (a.dtype !== 'f32' || b.dtype !== 'f32' || condition.dtype !== 'i32') return super.where(condition, a, b);
    return this.scope(() => {
      const on = this.binary(
        'min',
        this.unary('abs', this.cast(condition, 'f32')),
        this.upload(Float32Array.of(1), []),
      );
      const off = this.binary('sub', this.upload(Float32Array.of(1), []), on);
      return this.binary('add', this.binary('mul', on, a), this.binary('mul', off, b));
    });
  }
}

class MaxFromZero extends Bent {
  override reduce(op: ReduceOp, x: Tensor, axis: number, options?: ReduceOptions): Tensor {
    const y = super.reduce(op, x, axis, options);
    return op === 'max' ? this.bend(y, (value) => Math.max(value, 0)) : y;
  }
}

class ReduceKeepsDims extends Bent {
  override reduce(op: ReduceOp, x: Tensor, axis: number): Tensor {
    return super.reduce(op, x, axis, { keepDims: true });
  }
}

class SumIsHalf extends Bent {
  override reduce(op: ReduceOp, x: Tensor, axis: number, options?: ReduceOptions): Tensor {
    const y = super.reduce(op, x, axis, options);
    return op === 'sum' ? this.bend(y, (value) => value * (1 + 2 ** -11)) : y;
  }
}

class TransposeBIgnoredAtOddSizes extends Bent {
  override matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
    const [n, k] = [b.shape.at(-2)!, b.shape.at(-1)!];
    if (!options.transposeB || n % 2 === 0 || b.rank < 2 || n * k === 0) return super.matmul(a, b, options);
    return this.scope(() =>
      super.matmul(a, this.reshape(b, [...b.shape.slice(0, -2), k, n]), { ...options, transposeB: false }),
    );
  }
}

class MatmulDropsTail extends Bent {
  override matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
    const k = a.shape.at(options.transposeA ? -2 : -1)!;
    const y = super.matmul(a, b, options);
    if (k <= 128 || k % 128 === 0) return y;
    const cut = k - (k % 128);
    const whole = this.scope(() =>
      super.matmul(
        this.slice(a, options.transposeA ? -2 : -1, 0, cut),
        this.slice(b, options.transposeB ? -1 : -2, 0, cut),
        options,
      ),
    );
    y.dispose();
    return whole;
  }
}

class MatmulInBf16 extends Bent {
  override matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
    if (a.dtype !== 'f32' || b.dtype !== 'f32') return super.matmul(a, b, options);
    return this.scope(() => {
      const short = (x: Tensor) => this.cast(this.cast(x, 'bf16'), 'f32');
      return super.matmul(short(a), short(b), options);
    });
  }
}

class MatmulSkipsZeros extends Bent {
  override matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
    return this.bend(super.matmul(a, b, options), (value) => (Number.isNaN(value) ? 0 : value));
  }
}

class BatchOfFirst extends Bent {
  override matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
    const y = super.matmul(a, b, options);
    if (b.rank < 3 || b.shape[0] === 1) return y;
    y.dispose();
    return this.scope(() =>
      super.matmul(
        a,
        this.concat(
          b.shape.slice(0, 1).flatMap((n) => Array.from({ length: n }, () => this.slice(b, 0, 0, 1))),
          0,
        ),
        options,
      ),
    );
  }
}

class GatherClamps extends Bent {
  override gather(data: Tensor, indices: Tensor): Tensor {
    if (indices.dtype !== 'i32' || data.rank === 0 || data.shape[0] === 0) return super.gather(data, indices);
    return this.scope(() => {
      const limit = this.upload(Int32Array.of(data.shape[0]! - 1), []);
      const clamped = this.binary('max', this.binary('min', indices, limit), this.upload(Int32Array.of(0), []));
      return super.gather(data, clamped);
    });
  }
}

class ScatterOverwrites extends Bent {
  override scatterAdd(indices: Tensor, updates: Tensor, rows: number): Tensor {
    const y = super.scatterAdd(indices, updates, rows);
    const width = sizeOf(updates.shape.slice(1));
    const [to, from, out] = [this.integers(indices), this.floats(updates), this.floats(y)];
    to.forEach((row, i) => {
      out.set(from.subarray(i * width, (i + 1) * width), row * width);
    });
    return y;
  }
}

class TopKTakesTheLast extends Bent {
  override topK(x: Tensor, k: number): { values: Tensor; indices: Tensor } {
    const { values, indices } = super.topK(x, k);
    const [from, chosen, of] = [this.floats(x), this.integers(indices), this.floats(values)];
    const width = x.shape.at(-1)!;
    const taken = new Set<string>();
    chosen.forEach((_, at) => {
      const row = Math.floor(at / k);
      for (let i = width - 1; i >= 0; i--) {
        if (from[row * width + i] !== of[at] || taken.has(`${row},${i}`)) continue;
        taken.add(`${row},${i}`);
        chosen[at] = i;
        break;
      }
    });
    return { values, indices };
  }
}

class TopKIsUnsorted extends Bent {
  override topK(x: Tensor, k: number): { values: Tensor; indices: Tensor } {
    const { values, indices } = super.topK(x, k);
    if (k > 1) for (const one of [values, indices]) this.data(one).reverse();
    return { values, indices };
  }
}

class SliceIsAWindow extends Bent {
  override slice(x: Tensor, axis: number, start: number, end: number): Tensor {
    const y = super.slice(x, axis, start, end);
    if (axis !== 0 || start !== 0 || end !== x.shape[0]) return y;
    y.dispose();
    return this.reshape(x, x.shape);
  }
}

class ConcatGivesItsOnlyPart extends Bent {
  override concat(tensors: readonly Tensor[], axis: number): Tensor {
    const y = super.concat(tensors, axis);
    if (tensors.length > 1) return y;
    y.dispose();
    return tensors[0]!;
  }
}

class TransposeInverts extends Bent {
  override transpose(x: Tensor, permutation: readonly number[]): Tensor {
    const inverse = permutation.map((_, axis) => permutation.indexOf(axis));
    return super.transpose(x, inverse.includes(-1) ? permutation : inverse);
  }
}

class CastTruncates extends Bent {
  override cast(x: Tensor, dtype: TensorDType): Tensor {
    const y = super.cast(x, dtype);
    if (dtype !== 'bf16' || x.dtype !== 'f32') return y;
    const bits = new Uint32Array(this.floats(x).slice().buffer);
    return this.bend(y, (_, i) => bits[i]! >>> 16);
  }
}

class CastRoundsTiesUp extends Bent {
  override cast(x: Tensor, dtype: TensorDType): Tensor {
    const y = super.cast(x, dtype);
    if (dtype !== 'bf16' || x.dtype !== 'f32') return y;
    const bits = new Uint32Array(this.floats(x).slice().buffer);
    return this.bend(y, (code, i) => (bits[i]! % 65536 === 32768 ? (bits[i]! >>> 16) + 1 : code));
  }
}

class E4m3Overflows extends Bent {
  override cast(x: Tensor, dtype: TensorDType): Tensor {
    const y = super.cast(x, dtype);
    if (dtype !== 'e4m3' || x.dtype !== 'f32') return y;
    const from = toF32('f32', this.floats(x));
    return this.bend(y, (code, i) => (Math.abs(from[i]!) > 464 ? 0x7f : code));
  }
}

class CastToIntegerRounds extends Bent {
  override cast(x: Tensor, dtype: TensorDType): Tensor {
    if (dtype !== 'i32' || x.dtype !== 'f32') return super.cast(x, dtype);
    return this.scope(() => super.cast(this.unary('floor', x), dtype));
  }
}

class WriteRowsTruncates extends Bent {
  override writeRows(target: Tensor, rows: Int32Array, values: Tensor): void {
    super.writeRows(target, rows, values);
    if (target.dtype !== 'bf16') return;
    const width = sizeOf(target.shape.slice(1));
    const bits = new Uint32Array(this.floats(values).slice().buffer);
    const into = this.data(target);
    rows.forEach((row, i) => {
      for (let j = 0; j < width; j++) into[row * width + j] = bits[i * width + j]! >>> 16;
    });
  }
}

class WritesBeforeItLooks extends Bent {
  override writeRows(target: Tensor, rows: Int32Array, values: Tensor): void {
    if (target.dtype === 'f32' && values.dtype === 'f32') {
      const width = sizeOf(target.shape.slice(1));
      this.floats(target).set(this.floats(values).subarray(0, width));
    }
    super.writeRows(target, rows, values);
  }
}

class TakesForeignTensors extends Bent {
  override unary(op: UnaryOp, x: Tensor): Tensor {
    if (x.backend === this) return super.unary(op, x);
    return this.scope(() => super.unary(op, this.upload(x.storage.payload as TensorData, x.shape, x.dtype)));
  }
}

const mutant = (wrong: string, caughtBy: string, Kind: new () => ReferenceBackend): Mutant => ({
  wrong,
  caughtBy,
  create: () => new Kind(),
});

export const primitiveMutants: readonly Mutant[] = [
  mutant('upload keeps the array of the caller', 'upload', UploadAliases),
  mutant('upload loses the sign of zero', 'upload', UploadLosesZeroSign),
  mutant('read gives its own storage away', 'read', ReadGivesStorage),
  mutant('read looks at the tensor too late', 'read', ReadIsLate),
  mutant('floor goes through int32', 'unary', FloorByInteger),
  mutant('exp is off by 8 ulps', 'unary', ExpIsCoarse),
  mutant('exp does not overflow', 'unary', ExpStopsShort),
  mutant('sign of NaN is zero', 'unary', SignOfNaNIsZero),
  mutant('results are flushed to zero below the normal numbers', 'binary', FlushesSubnormals),
  mutant('max ignores NaN', 'binary', MaxIgnoresNaN),
  mutant('integers are computed in float32', 'binary', IntegersAsFloats),
  mutant('a column broadcasts like a row', 'binary', BroadcastsRowsOnly),
  mutant('where blends', 'where', WhereBlends),
  mutant('the maximum starts at zero', 'reduce', MaxFromZero),
  mutant('reduce always keeps the axis', 'reduce', ReduceKeepsDims),
  mutant('sums are rounded to half precision', 'reduce', SumIsHalf),
  mutant('transposeB is ignored at odd sizes', 'matmul', TransposeBIgnoredAtOddSizes),
  mutant('the tail of a long sum is dropped', 'matmul', MatmulDropsTail),
  mutant('products are made in BF16', 'matmul', MatmulInBf16),
  mutant('zeros times infinity are skipped', 'matmul', MatmulSkipsZeros),
  mutant('every batch multiplies by the first matrix', 'matmul', BatchOfFirst),
  mutant('indices out of range are clamped', 'gather', GatherClamps),
  mutant('scatterAdd overwrites', 'scatterAdd', ScatterOverwrites),
  mutant('of equal values the last is taken', 'topK', TopKTakesTheLast),
  mutant('the largest values come in the wrong order', 'topK', TopKIsUnsorted),
  mutant('a slice of everything is a window', 'writeRows', SliceIsAWindow),
  mutant('concat of one tensor gives it back', 'concat', ConcatGivesItsOnlyPart),
  mutant('transpose takes the permutation the other way round', 'transpose', TransposeInverts),
  mutant('cast to BF16 truncates', 'cast', CastTruncates),
  mutant('cast to BF16 rounds ties up', 'cast', CastRoundsTiesUp),
  mutant('cast to E4M3 overflows to NaN', 'cast', E4m3Overflows),
  mutant('cast to i32 goes down, not towards zero', 'cast', CastToIntegerRounds),
  mutant('writeRows truncates to BF16', 'writeRows', WriteRowsTruncates),
  mutant('writeRows writes before it refuses', 'writeRows', WritesBeforeItLooks),
  mutant('tensors of other backends are taken', 'unary', TakesForeignTensors),
];
