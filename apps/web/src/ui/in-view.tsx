/** A picture that is kept up to date while it is in view; out of view it waits until nothing computes. */
import { type ReadonlySignal, useComputed, useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { isComputing } from './paced.ts';

export interface InViewProps {
  /** Whether its place is shown. */
  readonly isActive: ReadonlySignal<boolean>;
  /** @param isWatched - Whether it is to be kept up to date, for `usePaced`. */
  readonly children: (isWatched: ReadonlySignal<boolean>) => ComponentChildren;
}

export function InView({ isActive, children }: InViewProps) {
  const box = useRef<HTMLDivElement>(null);
  const isInView = useSignal(true);
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
    <div class="in-view" ref={box}>
      {children(isWatched)}
    </div>
  );
}
