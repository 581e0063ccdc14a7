/** The four places: what they are called, and how their code is loaded, each when it is first visited. */
import type { ComponentType } from 'preact';
import type { Place } from './address.ts';

/** What a place is given. It stays mounted, but hidden, while another is shown: draw only while `active`. */
export interface PlaceProps {
  readonly active: boolean;
}

export interface PlaceEntry {
  readonly title: string;
  readonly load: () => Promise<{ readonly default: ComponentType<PlaceProps> }>;
}

export const placeEntries: Readonly<Record<Place, PlaceEntry>> = {
  generate: { title: 'Generate', load: () => import('../places/generate/index.tsx') },
  inside: { title: 'Inside', load: () => import('../places/inside/index.tsx') },
  'model-card': { title: 'Model card', load: () => import('../places/model-card/index.tsx') },
  train: { title: 'Train', load: () => import('../places/train/index.tsx') },
};
