/**
 * A drawing by Observable Plot, at the width that there is, redrawn in its turn when what it shows changes. The
 * library is fetched with the first chart, not with the page.
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import { drawing } from './draw-queue.ts';
import type { PlotModule, PlotOptions } from './plot.ts';

export interface ChartProps {
  /**
   * What to draw, for a width in CSS pixels. It is called again when `of` changes, so it must depend on nothing else.
   */
  readonly draw: (plot: PlotModule, width: number) => PlotOptions;
  /** Whatever the drawing depends on. */
  readonly of: readonly unknown[];
  /** What it shows, for those who cannot see it; the numbers are in the figure's table. */
  readonly label: string;
  /** Height in CSS pixels, kept free until the chart is there so that nothing jumps. */
  readonly height: number;
}

export function Chart({ draw, of, label, height }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const [plot, setPlot] = useState<PlotModule | null>(null);
  const [missing, setMissing] = useState(false);

  useEffect(() => {
    let gone = false;
    import('./plot.ts').then(
      (loaded) => !gone && setPlot(loaded),
      () => !gone && setMissing(true),
    );
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.floor(entry.contentRect.width)));
    observer.observe(box.current!);
    return () => {
      gone = true;
      observer.disconnect();
    };
  }, []);

  useEffect(() => {
    if (plot === null || width === 0) return;
    const key = box.current!;
    drawing().add(key, () => {
      const svg = plot.plot({ width, height, ...draw(plot, width) });
      // Read as one picture: the marks inside say nothing without the axes, and the table says it all.
      svg.setAttribute('aria-hidden', 'true');
      key.replaceChildren(svg);
    });
  }, [plot, width, height, ...of]);

  useEffect(() => {
    const key = box.current!;
    return () => drawing().drop(key);
  }, []);

  return (
    <>
      <div class="chart" ref={box} role="img" aria-label={label} style={{ minHeight: `${height}px` }} />
      {missing && <p class="quiet">The chart could not be fetched; its numbers are in the table below.</p>}
    </>
  );
}
