/**
 * Takes the experts, or their weights, out of a packed choice (`packed` of `router.ts`): for whoever looks at a routing
 * that the fused experts take as it is. Words are moved as they are, so weights keep all their bits.
 */
import type { FlatShape } from './elementwise.ts';
import type { Kernel } from './kernel.ts';
import { FLAT_WORKGROUP, flatDispatch, flatMain } from './wgsl.ts';

/** - `choice`: [size, 2]. `y`: [size], word `part` of each. Uniforms: `size`, `part`. */
export function routingPartKernel(): Kernel<FlatShape> {
  return {
    label: 'routing-part',
    key: 'routing-part',
    code: flatMain('  y[i] = choice[2u * i + uniforms.part];'),
    workgroupSize: [FLAT_WORKGROUP, 1, 1],
    bindings: [
      { name: 'choice', access: 'read', element: 'u32' },
      { name: 'y', access: 'write', element: 'u32' },
    ],
    uniforms: [
      { name: 'size', type: 'u32' },
      { name: 'part', type: 'u32' },
    ],
    dispatch: ({ size }) => flatDispatch(size),
  };
}
