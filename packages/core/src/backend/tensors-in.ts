/** Finds the tensors in what a scope returns, so that they outlive it. */
import { Tensor } from './tensor.ts';

/** Tensors in a value: itself, or in arrays, maps and plain objects, nested at will and even in circles. */
export function tensorsIn(value: unknown): Set<Tensor> {
  if (value instanceof Tensor) return new Set([value]);
  const found = new Set<Tensor>();
  const seen = new Set<unknown>();
  const visit = (item: unknown): void => {
    if (item === null || typeof item !== 'object' || seen.has(item)) return;
    seen.add(item);
    if (item instanceof Tensor) found.add(item);
    else if (Array.isArray(item) || item instanceof Map) for (const inner of item.values()) visit(inner);
    else if (Object.getPrototypeOf(item) === Object.prototype) for (const inner of Object.values(item)) visit(inner);
  };
  visit(value);
  return found;
}
