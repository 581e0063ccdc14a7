/** Causal attention in float64, written per query and head. */
import { gamma, type Tolerance, U } from '../tolerance.ts';
import { type Approximate, softmax, weightedRows } from './approximate.ts';

/** One head: which row a position has, of queries, keys and values. */
export interface Head {
  readonly queries: number;
  readonly keys: number;
  readonly query: (i: number) => ArrayLike<number>;
  readonly key: (j: number) => ArrayLike<number>;
  readonly value: (j: number) => ArrayLike<number>;
  /** Width of a value. */
  readonly width: number;
}

/** softmax(q k^T * scale) v, query i seeing keys 0 to queryStart + i. Results of all queries in order. */
export function attendHead(head: Head, scale: number, queryStart: number, tolerance: Tolerance): Approximate[] {
  return Array.from({ length: head.queries }, (_, i) => {
    const visible = Math.min(head.keys, queryStart + i + 1);
    const q = head.query(i);
    const scores = { values: new Float64Array(visible), errors: new Float64Array(visible) };
    for (let j = 0; j < visible; j++) {
      const k = head.key(j);
      let [dot, magnitudes] = [0, 0];
      for (let d = 0; d < q.length; d++) {
        dot += q[d]! * k[d]!;
        magnitudes += Math.abs(q[d]! * k[d]!);
      }
      scores.values[j] = dot * scale;
      // The scale may be folded into the queries or, with log2(e), into the exponent: three more roundings.
      scores.errors[j] = Math.abs(scale) * gamma(q.length + 3, magnitudes) + 3 * U * Math.abs(dot * scale);
    }
    return weightedRows(softmax(scores, tolerance), head.value, head.width);
  });
}
