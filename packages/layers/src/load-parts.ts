/** Loading something that has several parts: if one of them cannot be loaded, those before it are freed. */

/** Waits for a part, and frees it if a later one fails. */
export type KeepPart = <Part extends Disposable | readonly Disposable[]>(part: Promise<Part>) => Promise<Part>;

/**
 * Runs `load`, which passes each part through `keep` as it comes. Parts are to be loaded one after another: one that is
 * still being loaded when another fails would be lost.
 *
 * @throws what `load` throws; whatever went through `keep` is then disposed.
 */
export async function loadParts<Result>(load: (keep: KeepPart) => Promise<Result>): Promise<Result> {
  const parts: Disposable[] = [];
  try {
    return await load(async (promise) => {
      const part = await promise;
      parts.push(...(Array.isArray(part) ? (part as readonly Disposable[]) : [part as Disposable]));
      return part;
    });
  } catch (error) {
    for (const part of parts.reverse()) part[Symbol.dispose]();
    throw error;
  }
}
