/**
 * Composites in float64, with a bound on what float32 makes of them. Each function takes operands that may already be
 * off (`errors`) and says by how much its results may be: first-order rounding analysis, the notation of tolerance.ts.
 * Second-order terms are covered by counting an operation more than is there.
 */
import { divisionError, floorOf, gamma, relativeError, SMALLEST_NORMAL, type Tolerance, U } from '../tolerance.ts';

/** Exact values, and how far a float32 result may lie from each. */
export interface Approximate {
  readonly values: Float64Array;
  readonly errors: Float64Array;
}

/** Values that are known exactly. */
export function exactly(values: ArrayLike<number>): Approximate {
  return { values: Float64Array.from(values), errors: new Float64Array(values.length) };
}

/** Room for `length` results. */
function blank(length: number): Approximate {
  return { values: new Float64Array(length), errors: new Float64Array(length) };
}

/** x W^T for x [rows, in] and W [out, in]. */
export function linear(x: Approximate, weight: ArrayLike<number>, inputs: number, outputs: number): Approximate {
  const rows = inputs === 0 ? 0 : x.values.length / inputs;
  const y = blank(rows * outputs);
  for (let row = 0; row < rows; row++) {
    for (let out = 0; out < outputs; out++) {
      let [sum, magnitudes, inherited] = [0, 0, 0];
      for (let i = 0; i < inputs; i++) {
        const w = weight[out * inputs + i]!;
        sum += x.values[row * inputs + i]! * w;
        magnitudes += Math.abs(x.values[row * inputs + i]! * w);
        inherited += x.errors[row * inputs + i]! * Math.abs(w);
      }
      y.values[row * outputs + out] = sum;
      // Two operations more than the sum has: a scaled weight may be multiplied before or after the sum.
      y.errors[row * outputs + out] = gamma(inputs + 2, magnitudes + inherited) + inherited;
    }
  }
  return y;
}

/** gate * sigmoid(gate) * up. */
export function swiglu(gate: Approximate, up: Approximate, tolerance: Tolerance): Approximate {
  const y = blank(gate.values.length);
  for (let i = 0; i < y.values.length; i++) {
    const [g, u] = [gate.values[i]!, up.values[i]!];
    const sigma = g < 0 ? Math.exp(g) / (1 + Math.exp(g)) : 1 / (1 + Math.exp(-g));
    const silu = g * sigma;
    // The slope of silu lies between -0.1 and 1.1. A sigmoid below the normal numbers may be zero.
    const ofSilu =
      1.1 * gate.errors[i]! +
      Math.abs(silu) * (relativeError('sigmoid', g, tolerance) + U) +
      Math.abs(g) * SMALLEST_NORMAL;
    y.values[i] = silu * u;
    y.errors[i] =
      ofSilu * (Math.abs(u) + up.errors[i]!) +
      Math.abs(silu) * up.errors[i]! +
      2 * U * Math.abs(silu * u) +
      floorOf(tolerance);
  }
  return y;
}

/** Softmax of one row. Minus infinity is allowed; not all of them may be. */
export function softmax(row: Approximate, tolerance: Tolerance): Approximate {
  const n = row.values.length;
  const max = row.values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const terms = row.values.map((s) => Math.exp(s - max));
  const sum = terms.reduce((a, b) => a + b, 0);
  // exp turns an absolute error of its operand into a relative one of its result; subtracting the maximum rounds the
  // operand. An error of the maximum itself moves all terms alike and cancels.
  const relative = row.values.map((s, i) =>
    terms[i] === 0 ? 0 : Math.expm1(row.errors[i]! + (max - s) * U) + relativeError('exp', s - max, tolerance),
  );
  const ofSum = terms.reduce((total, term, i) => total + (term * relative[i]!) / sum, n * U);
  const values = terms.map((term) => term / sum);
  const errors = values.map((p, i) => p * (relative[i]! + ofSum + divisionError(tolerance) + U) + SMALLEST_NORMAL);
  return { values, errors };
}

/** Weighted sum of rows: weights [n] times matrix [n, width]. */
export function weightedRows(weights: Approximate, row: (i: number) => ArrayLike<number>, width: number): Approximate {
  const y = blank(width);
  for (let j = 0; j < width; j++) {
    let [sum, magnitudes, inherited] = [0, 0, 0];
    weights.values.forEach((weight, i) => {
      const x = row(i)[j]!;
      sum += weight * x;
      magnitudes += Math.abs(weight * x);
      inherited += weights.errors[i]! * Math.abs(x);
    });
    y.values[j] = sum;
    y.errors[j] = inherited + gamma(weights.values.length + 1, magnitudes);
  }
  return y;
}
