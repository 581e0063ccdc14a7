/** The view of this place as the address has it, the card of that view, and what is wrong with it. */
import { MarianaError } from '@mariana/core';
import { computed, signal } from '@preact/signals';
import { parametersOf, setParameters } from '../../frame/address.ts';
import { type Card, cardOf } from './card.ts';
import { type CardView, FIRST_VIEW, viewFromParameters, viewOfText, viewToParameters } from './view.ts';

const PLACE = 'model-card';

/** A config.json cannot be longer: what is larger was dropped by mistake, and is not read. */
const LONGEST_CONFIG = 1_000_000;

interface Shown {
  readonly view: CardView;
  readonly card: Card | null;
  readonly error: unknown;
}

/** What a config that was dropped in was refused for, until another one is shown. */
export const dropError = signal<unknown>(null);

const read = computed((): Shown => {
  let view = FIRST_VIEW;
  try {
    view = viewFromParameters(new URLSearchParams(parametersOf(PLACE).value));
    return { view, card: cardOf(view), error: null };
  } catch (error) {
    return { view, card: null, error };
  }
});

/** The last card that could be made: it stays while what is typed makes no sense. */
let lastCard: Card = cardOf(FIRST_VIEW);

export const shown = computed(() => {
  const { view, card, error } = read.value;
  if (card !== null) lastCard = card;
  return { view, error, card: card ?? lastCard };
});

export function show(view: CardView): void {
  dropError.value = null;
  setParameters(PLACE, Object.fromEntries(viewToParameters(view)));
}

/** Shows a config.json that was dropped, chosen or pasted; what is wrong with it is in `dropError`. */
export async function showFile(file: Blob, name: string): Promise<void> {
  try {
    if (file.size > LONGEST_CONFIG) {
      throw new MarianaError(
        'CONFIG_INVALID',
        `${name}: ${file.size} bytes are too many for a config.json; choose the small file of that name beside the weights`,
      );
    }
    show(viewOfText(await file.text(), name, shown.peek().view));
  } catch (error) {
    dropError.value = error;
  }
}
