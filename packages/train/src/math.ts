/** Formulas read better with the names of their operations. */
import { type Backend, scalar, type Tensor } from '@mariana/core';

/** x times a number. */
export function scaled(backend: Backend, x: Tensor, factor: number): Tensor {
  return backend.binary('mul', x, scalar(backend, factor));
}

/** The sum of all elements, as a scalar. */
export function sumAll(backend: Backend, x: Tensor): Tensor {
  return backend.reduce('sum', backend.reshape(x, [x.size]), 0);
}

/** The mean of all elements, as a scalar. */
export function meanAll(backend: Backend, x: Tensor): Tensor {
  return scaled(backend, sumAll(backend, x), 1 / x.size);
}

/** Scalars added up; at least one. */
export function sumOf(backend: Backend, terms: readonly Tensor[]): Tensor {
  return terms.reduce((sum, term) => backend.binary('add', sum, term));
}
