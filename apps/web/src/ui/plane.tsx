/**
 * Two axes, their grid and numbers, and whatever is drawn between them: for pictures that change while something computes.
 * Plot makes such a picture anew each time; here only what changed is changed, which costs a tenth of it.
 */
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import './plane.css';
import { ticksBetween } from './ticks.ts';

export interface Axis {
  readonly from: number;
  readonly to: number;
  /** What it measures, with its unit; null where something beside it says so. */
  readonly label: string | null;
  /** Default: round numbers, as many as there is room for. */
  readonly ticks?: readonly number[];
  readonly format: (value: number) => string;
}

/** Where values lie, in pixels. */
interface Coordinates {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  /** A line through points, for the `d` of a path. */
  readonly line: (points: readonly (readonly [x: number, y: number])[]) => string;
}

export interface PlaneProps {
  readonly x: Axis;
  readonly y: Axis;
  /** Height in CSS pixels, kept free until it is drawn so that nothing jumps. */
  readonly height: number;
  /** Pixels beside the axes; what is written there must have room. */
  readonly margin: { readonly left: number; readonly right: number; readonly top: number; readonly bottom: number };
  /** What it shows, for those who cannot see it; the numbers are in the figure's table. */
  readonly label: string;
  readonly children: (at: Coordinates) => ComponentChildren;
}

/** Pixels that a number on an axis takes. */
const TICK = { across: 56, down: 28 };

export function Plane({ x, y, height, margin, label, children }: PlaneProps) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.floor(entry.contentRect.width)));
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  const [left, right] = [margin.left, Math.max(margin.left + 1, width - margin.right)];
  const [top, bottom] = [margin.top, height - margin.bottom];
  const scale = ({ from, to }: Axis, start: number, end: number) => {
    const each = from === to ? 0 : (end - start) / (to - from);
    return (value: number) => Math.round(10 * (start + (value - from) * each)) / 10;
  };
  const at: Coordinates = {
    x: scale(x, left, right),
    y: scale(y, bottom, top),
    left,
    right,
    top,
    bottom,
    line: (points) => points.map(([a, b], i) => `${i === 0 ? 'M' : 'L'}${at.x(a)},${at.y(b)}`).join(''),
  };
  const across = x.ticks ?? ticksBetween(x.from, x.to, (right - left) / TICK.across);
  const down = y.ticks ?? ticksBetween(y.from, y.to, (bottom - top) / TICK.down);
  return (
    <div class="chart plane" ref={box} role="img" aria-label={label} style={{ height: `${height}px` }}>
      {width > 0 && (
        // Read as one picture: the marks inside say nothing without the axes, and the table says it all.
        <svg width={width} height={height} aria-hidden="true">
          {down.map((value) => (
            <g key={value} transform={`translate(0,${at.y(value)})`}>
              <line class="plane-grid" x1={left} x2={right} />
              <text x={left - 8} dy="0.32em" text-anchor="end">
                {y.format(value)}
              </text>
            </g>
          ))}
          {across.map((value) => (
            <g key={value} transform={`translate(${at.x(value)},${bottom})`}>
              <line class="plane-tick" y2={4} />
              <text y={18} text-anchor="middle">
                {x.format(value)}
              </text>
            </g>
          ))}
          {y.label !== null && (
            <text x={0} y={10}>
              {y.label}
            </text>
          )}
          {x.label !== null && (
            <text x={right} y={bottom + 34} text-anchor="end">
              {x.label}
            </text>
          )}
          {children(at)}
        </svg>
      )}
    </div>
  );
}
