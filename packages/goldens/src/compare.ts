/** Comparisons that say where and by how much something is off. */

/** |difference| <= absolute + relative * |expected|, as the READMEs of the fixtures suggest for float32 code. */
export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

const FLOAT32: Tolerance = { absolute: 2e-4, relative: 2e-4 };

/** @throws Error naming the first element beyond the tolerance. */
export function expectClose(
  what: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { absolute, relative }: Tolerance = FLOAT32,
): void {
  expectLength(what, actual, expected);
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    if (Math.abs(a - e) <= absolute + relative * Math.abs(e) || Object.is(a, e)) continue;
    throw new Error(`${what}: element ${i} of ${expected.length} is ${a}, expected ${e} (off by ${Math.abs(a - e)})`);
  }
}

/** @throws Error naming the first element that differs. */
export function expectEqual(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expectLength(what, actual, expected);
  for (let i = 0; i < expected.length; i++) {
    if (actual[i] !== expected[i]) {
      throw new Error(`${what}: element ${i} of ${expected.length} is ${actual[i]}, expected ${expected[i]}`);
    }
  }
}

/** @throws Error if the two are the same within the tolerance: for values that must NOT be reached. */
export function expectFar(what: string, actual: ArrayLike<number>, other: ArrayLike<number>): void {
  const largest = Math.max(...Array.from(actual, (a, i) => Math.abs(a - other[i]!)));
  if (!(largest > 0.01)) throw new Error(`${what}: follows the reading that it must not follow (within ${largest})`);
}

function expectLength(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  if (actual.length !== expected.length) {
    throw new Error(`${what}: has ${actual.length} elements, expected ${expected.length}`);
  }
}

/** Position of the largest value in row `row` of a matrix. */
export function argmax(values: Float32Array, row: number, width: number): number {
  let best = 0;
  for (let i = 1; i < width; i++) if (values[row * width + i]! > values[row * width + best]!) best = i;
  return best;
}
