/** Elementwise operations of the contract as compositions of tfjs ops, with the edges that engines get wrong mended. */
import type { BinaryOp, ComparisonOp, UnaryOp } from '@mariana/core';
import type { TfModule, TfTensor } from '../tf-module.ts';
import type { EngineTraits } from '../traits.ts';
import { exp2, log2 } from './powers-of-two.ts';

export function unary(tf: TfModule, traits: EngineTraits, op: UnaryOp, x: TfTensor): TfTensor {
  switch (op) {
    case 'exp2':
      return exp2(tf, x);
    case 'log2':
      return log2(tf, x);
    case 'sign':
      return sign(tf, x);
    case 'exp':
    case 'sigmoid':
      return traits.functionsKeepEdges ? tf[op](x) : keepNaN(tf, x, tf[op](x));
    case 'log':
      return traits.functionsKeepEdges ? tf.log(x) : logWithEdges(tf, x);
    default:
      return tf[op](x);
  }
}

/** By comparison, because engines give 0 for NaN, and tfjs-wasm for subnormals too. */
function sign(tf: TfModule, x: TfTensor): TfTensor {
  const zero = tf.scalar(0, 'float32');
  const [positive, negative] = [tf.greater(x, zero), tf.less(x, zero)].map((test) => tf.cast(test, 'float32'));
  return keepNaN(tf, x, tf.sub(positive!, negative!));
}

function keepNaN(tf: TfModule, x: TfTensor, result: TfTensor): TfTensor {
  return tf.where(tf.isNaN(x), x, result);
}

function logWithEdges(tf: TfModule, x: TfTensor): TfTensor {
  const isZero = tf.equal(x, tf.scalar(0, 'float32'));
  return keepNaN(tf, x, tf.where(isZero, tf.scalar(Number.NEGATIVE_INFINITY, 'float32'), tf.log(x)));
}

const COMPARISONS: ReadonlySet<BinaryOp> = new Set<ComparisonOp>(['equal', 'less', 'lessEqual']);

/** Whether the result is I32 zeros and ones, whatever the operands are. */
export function isComparison(op: BinaryOp): op is ComparisonOp {
  return COMPARISONS.has(op);
}

/** Operands of one dtype whose shapes broadcast. */
export function binary(tf: TfModule, traits: EngineTraits, op: BinaryOp, a: TfTensor, b: TfTensor): TfTensor {
  if (isComparison(op)) return tf.cast(tf[op](a, b), 'int32');
  if (op !== 'max' && op !== 'min') return tf[op](a, b);
  const result = op === 'max' ? tf.maximum(a, b) : tf.minimum(a, b);
  if (traits.extremaKeepNaN || a.dtype !== 'float32') return result;
  return tf.where(tf.logicalOr(tf.isNaN(a), tf.isNaN(b)), tf.scalar(Number.NaN, 'float32'), result);
}

/** `a` where the int32 condition is not zero, else `b`. */
export function select(tf: TfModule, condition: TfTensor, a: TfTensor, b: TfTensor): TfTensor {
  return tf.where(tf.notEqual(condition, tf.scalar(0, 'int32')), a, b);
}

/** The largest value along an axis; NaN if there is one. */
export function reduceMax(tf: TfModule, traits: EngineTraits, x: TfTensor, axis: number): TfTensor {
  const result = tf.max(x, axis);
  if (traits.extremaKeepNaN) return result;
  return tf.where(tf.any(tf.isNaN(x), axis), tf.scalar(Number.NaN, 'float32'), result);
}
