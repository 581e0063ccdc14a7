/** Which layer and head are shown large, as the address says it. */
import { computed, type ReadonlySignal } from '@preact/signals';
import { parametersOf, setParameters } from '../../frame/address.ts';

export interface ShownLayers {
  /** Index among the MoE layers. */
  readonly experts: number;
  /** Number of the layer whose attention is shown. */
  readonly attention: number;
  readonly head: number;
}

const parameters = parametersOf('inside');

export const shownLayers: ReadonlySignal<ShownLayers> = computed(() => ({
  experts: whole(parameters.value.experts),
  attention: whole(parameters.value.attention),
  head: whole(parameters.value.head),
}));

export function show(change: Partial<ShownLayers>): void {
  const next = { ...shownLayers.value, ...change };
  setParameters('inside', Object.fromEntries(Object.entries(next).map(([key, value]) => [key, String(value)])));
}

function whole(text: string | undefined): number {
  return text !== undefined && /^\d{1,4}$/.test(text) ? Number(text) : 0;
}
