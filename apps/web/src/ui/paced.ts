/** Values as pictures need them: changed in their turn (`draw-queue.ts`), and only while somebody can see it. */
import { computed, effect, type ReadonlySignal, signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { drawing } from './draw-queue.ts';

/** Names of what computes at the moment. */
const computing = signal<ReadonlySet<string>>(new Set());

/** Whether a model computes, which drawing must not hold up. */
export const isComputing: ReadonlySignal<boolean> = computed(() => computing.value.size > 0);

/** Says that something computes from now on, or no longer. */
export function setComputing(name: string, computes: boolean): void {
  if (computing.peek().has(name) === computes) return;
  const names = new Set(computing.peek());
  if (computes) names.add(name);
  else names.delete(name);
  computing.value = names;
  drawing().isSparing = () => isComputing.peek();
  // What waited may be drawn now.
  if (!isComputing.peek()) drawing().hurry();
}

/**
 * The value of a signal, in its turn: a component that reads it by this is rendered when there is time for it.
 *
 * @param isWatched - While false nothing changes: nobody looks.
 */
export function usePaced<T>(source: ReadonlySignal<T>, isWatched: ReadonlySignal<boolean>): T {
  const [shown, setShown] = useState(() => source.peek());
  useEffect(() => {
    const key = {};
    const stop = effect(() => {
      if (!isWatched.value) return drawing().drop(key);
      void source.value;
      drawing().add(key, () => setShown(() => source.peek()));
    });
    return () => {
      stop();
      drawing().drop(key);
    };
  }, [source, isWatched]);
  return shown;
}
