/** Says before loading what will not fit, with the figures. */
import { type Backend, type ExpectedTensor, MarianaError, type TensorReader, type WeightFormat } from '@mariana/core';
import { hostMemory } from '#platform';

const FORMATS: Readonly<Record<string, WeightFormat>> = {
  f32: 'f32',
  bf16: 'bf16',
  f16: 'f16',
  e4m3: 'fp8',
  i8: 'int8',
  u8: 'int4',
};

/** Bytes that weights will take on a backend. */
export function residentBytes(tensors: Iterable<ExpectedTensor>, reader: TensorReader, backend: Backend): number {
  let bytes = 0;
  for (const { name, shape, kind } of tensors) {
    if (!reader.has(name)) continue;
    const [rows, columns] = shape;
    if (rows === undefined || columns === undefined) bytes += 4 * (rows ?? 0);
    else {
      const format = FORMATS[reader.info(name).dtype] ?? 'f32';
      bytes += backend.weightBytes(
        { format, shape: [rows, columns] },
        { precise: kind === 'router' || kind === 'embedding' },
      );
    }
  }
  return bytes;
}

/**
 * @throws MarianaError `OUT_OF_MEMORY` if the weights exceed what the backend can take; for a backend that does not say,
 *   and computes on the host, what the host has.
 */
export function checkFit(
  name: string,
  tensors: Iterable<ExpectedTensor>,
  reader: TensorReader,
  backend: Backend,
): void {
  const { memoryBudget, threads } = backend.capabilities;
  const budget = memoryBudget ?? (threads > 0 ? hostMemory() : undefined);
  if (budget === undefined) return;
  const bytes = residentBytes(tensors, reader, backend);
  const free = budget - backend.memory().bytes;
  if (bytes <= free) return;
  throw new MarianaError(
    'OUT_OF_MEMORY',
    `${name}: its weights take ${amount(bytes)} on backend ${backend.name}, which has ${amount(free)} left; ` +
      'use a smaller weight format or a larger machine',
    { details: { bytes, free } },
  );
}

function amount(bytes: number): string {
  const [size, unit] = bytes < 2 ** 30 ? [2 ** 20, 'MiB'] : [2 ** 30, 'GiB'];
  return `${(bytes / size).toFixed(2)} ${unit}`;
}
