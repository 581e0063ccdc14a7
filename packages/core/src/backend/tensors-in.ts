/** Finds the tensors in what a scope returns, so that they outlive it. */
import { Tensor } from './tensor.ts';

/** Tensors in a value: itself, or in arrays, maps and plain objects, nested at will. */
export function tensorsIn(value: unknown, found: Set<Tensor> = new Set()): Set<Tensor> {
  if (value instanceof Tensor) found.add(value);
  else if (Array.isArray(value) || value instanceof Map) {
    for (const item of value.values()) tensorsIn(item, found);
  } else if (value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) tensorsIn(item, found);
  }
  return found;
}
