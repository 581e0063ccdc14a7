/** Reads amounts as people write them. */

const SIZES: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, b: 1e9, g: 1e9, t: 1e12 };

/** `14.8 T` as 14.8e12; undefined for what is no amount above 0, up to 1e18. */
export function amountOf(text: string): number | undefined {
  const match = /^\s*(\d[\d,]*\.?\d*(?:e\d{1,2})?)\s*([kmbgt]?)\s*$/i.exec(text);
  if (match === null) return undefined;
  const value = Number(match[1]!.replaceAll(',', '')) * SIZES[match[2]!.toLowerCase()]!;
  // 14.8 x 1e12 has digits that nobody wrote.
  const rounded = Number(value.toPrecision(12));
  return rounded > 0 && rounded <= 1e18 ? rounded : undefined;
}
