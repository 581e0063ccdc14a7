/** For pictures that are dear to draw: a value that changes at most so often, and ends on the newest. */
import { useEffect, useRef, useState } from 'preact/hooks';

/** @param active - While false, nothing changes: nobody looks. */
export function useThrottled<T>(value: T, milliseconds: number, active = true): T {
  const [shown, setShown] = useState(value);
  const last = useRef(0);
  useEffect(() => {
    if (!active || Object.is(shown, value)) return;
    const wait = Math.max(0, milliseconds - (performance.now() - last.current));
    const timer = setTimeout(() => {
      last.current = performance.now();
      setShown(() => value);
    }, wait);
    return () => clearTimeout(timer);
  });
  return shown;
}
