/**
 * What colours mean here: one sequential scale (cividis) for amounts, one accent for what is selected. Amounts grow away
 * from the background, so that nothing looks like little.
 */
import { signal } from '@preact/signals';
import { interpolateCividis } from 'd3-scale-chromatic';

const query = globalThis.matchMedia?.('(prefers-color-scheme: dark)');

/** Whether the page is dark. */
export const isDark = signal(query?.matches ?? false);
query?.addEventListener('change', (event) => {
  isDark.value = event.matches;
});

/** Colour of an amount from 0 (none) to 1 (most). */
export function amountColor(share: number, dark = isDark.value): string {
  const t = Math.min(1, Math.max(0, share));
  return interpolateCividis(dark ? t : 1 - t);
}

const STEPS = 256;
const tables = new Map<boolean, readonly string[]>();

/** `amountColor` for whole tables of numbers: looked up, not computed. */
export function amountStep(share: number, dark = isDark.value): string {
  let table = tables.get(dark);
  if (table === undefined) {
    table = Array.from({ length: STEPS }, (_, step) => amountColor(step / (STEPS - 1), dark));
    tables.set(dark, table);
  }
  return table[Math.round((STEPS - 1) * Math.min(1, Math.max(0, share)))]!;
}

const pixels = new Map<boolean, Uint32Array>();

/** The scale of amounts as the pixels of an `ImageData`: 256 steps, little endian ABGR. */
export function amountPixels(dark = isDark.value): Uint32Array {
  let table = pixels.get(dark);
  if (table === undefined) {
    table = Uint32Array.from({ length: STEPS }, (_, step) => pixelOf(amountStep(step / (STEPS - 1), dark)));
    pixels.set(dark, table);
  }
  return table;
}

function pixelOf(color: string): number {
  const [red = 0, green = 0, blue = 0] = Array.from(color.matchAll(/\d+/g), ([part]) => Number(part));
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
