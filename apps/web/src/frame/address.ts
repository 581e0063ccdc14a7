/**
 * Where one is, and what one looks at there, as the address says it: `#inside?layer=3`. It lives behind the hash, so that
 * any static host serves every view. Each place keeps its own parameters while another is shown.
 */
import { type ReadonlySignal, signal } from '@preact/signals';

export const PLACES = ['generate', 'inside', 'model-card', 'train'] as const;
export type Place = (typeof PLACES)[number];

export type Parameters = Readonly<Record<string, string>>;

const current = signal<Place>('generate');
const parameters = {
  generate: signal<Parameters>({}),
  inside: signal<Parameters>({}),
  'model-card': signal<Parameters>({}),
  train: signal<Parameters>({}),
} satisfies Record<Place, unknown>;

/** The place that is shown. */
export const place: ReadonlySignal<Place> = current;

/** What the address says of a place, or last said of it. */
export function parametersOf(of: Place): ReadonlySignal<Parameters> {
  return parameters[of];
}

/** The address of a place, as it was left. */
export function hrefOf(of: Place): string {
  return formatAddress(of, parameters[of].value);
}

/** Writes what a place shows into the address, without a step in the history. */
export function setParameters(of: Place, values: Parameters): void {
  parameters[of].value = values;
  if (of === current.value) history.replaceState(null, '', hrefOf(of));
}

/** Goes to a place, with a step in the history. */
export function goTo(to: Place): void {
  location.hash = hrefOf(to);
}

/** A hash from a place and parameters. */
export function formatAddress(of: Place, values: Parameters): string {
  const query = new URLSearchParams(values).toString();
  return query === '' ? `#${of}` : `#${of}?${query}`;
}

/** What a hash says; an unknown place is the first one. */
export function parseAddress(hash: string): { place: Place; parameters: Parameters } {
  const text = hash.replace(/^#\/?/, '');
  const mark = text.indexOf('?');
  const name = mark === -1 ? text : text.slice(0, mark);
  const query = mark === -1 ? '' : text.slice(mark + 1);
  const found = PLACES.find((known) => known === name) ?? 'generate';
  return { place: found, parameters: Object.fromEntries(new URLSearchParams(query)) };
}

/** Follows the address from now on. */
export function followAddress(): void {
  const read = () => {
    const { place: found, parameters: values } = parseAddress(location.hash);
    // A bare link leads to the place as it was left.
    if (Object.keys(values).length > 0) parameters[found].value = values;
    current.value = found;
  };
  addEventListener('hashchange', read);
  read();
}
