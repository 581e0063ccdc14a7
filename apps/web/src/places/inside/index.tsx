import type { PlaceProps } from '../../frame/places.ts';

export default function Place(_props: PlaceProps) {
  return <p class="quiet">Nothing is here yet.</p>;
}
