/**
 * A picture that is kept up to date while it is in view; out of view it waits until nothing computes. It is put on the page
 * in its turn: several at once would hold the page up.
 */
import { type ReadonlySignal, useComputed, useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { drawing } from './draw-queue.ts';
import { isComputing } from './paced.ts';

export interface InViewProps {
  /** Whether its place is shown. */
  readonly isActive: ReadonlySignal<boolean>;
  /** Room for it until it is there, in CSS pixels. Default 320. */
  readonly height?: number;
  /** @param isWatched - Whether it is to be kept up to date, for `usePaced`. */
  readonly children: (isWatched: ReadonlySignal<boolean>) => ComponentChildren;
}

export function InView({ isActive, height = 320, children }: InViewProps) {
  const box = useRef<HTMLDivElement>(null);
  const [isThere, setThere] = useState(false);
  const isInView = useSignal(true);
  useEffect(() => {
    const key = box.current!;
    drawing().add(key, () => setThere(true));
    return () => drawing().drop(key);
  }, []);
  useEffect(() => {
    const see = (entries: IntersectionObserverEntry[]) => {
      isInView.value = entries.at(-1)!.isIntersecting;
    };
    const observer = new IntersectionObserver(see, { rootMargin: '64px' });
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  const isWatched = useComputed(() => isActive.value && (isInView.value || !isComputing.value));
  return (
    <div class="in-view" ref={box} style={isThere ? {} : { minHeight: `${height}px` }}>
      {isThere && children(isWatched)}
    </div>
  );
}
