/** Horizontal bars, each with its name and numbers above it, so that they are read at any width of the page. */
import type { ComponentChildren } from 'preact';
import { Chart } from '../../ui/chart.tsx';

export interface Bar {
  readonly name: string;
  /** Numbers, said beside the name. */
  readonly detail: string;
  /** Parts from left to right, dark to light. */
  readonly parts: readonly number[];
  /** Whether the bar is of what the card is about; others are grey. */
  readonly isMain?: boolean;
}

export interface BarsProps {
  readonly bars: readonly Bar[];
  /** What the axis shows, with its unit. */
  readonly axis: string;
  readonly tick: (value: number) => string;
  /** Values marked by a thin line. */
  readonly marks?: readonly number[];
  readonly label: string;
}

const ROW = 40;
const AXIS = 48;

/** Ink for the first part, paler for the others. */
const TONES = ['var(--ink)', 'var(--rule-strong)', 'var(--rule)'];

/** What the parts of the bars are, from left to right. */
export function PartsLegend({ names, children }: { names: readonly string[]; children?: ComponentChildren }) {
  return (
    <p class="quiet figures parts-legend">
      {names.map((name, i) => (
        <span key={name}>
          <i style={{ background: TONES[i] }} />
          {name}
        </span>
      ))}
      {children}
    </p>
  );
}

export function Bars({ bars, axis, tick, marks = [], label }: BarsProps) {
  const parts = bars.flatMap(({ name, parts: values, isMain = true }) => {
    let from = 0;
    return values.map((value, i) => {
      const part = { name, from, to: from + value, tone: isMain ? TONES[i]! : 'var(--rule-strong)' };
      from += value;
      return part;
    });
  });
  return (
    <Chart
      label={label}
      height={bars.length * ROW + AXIS}
      of={[JSON.stringify(bars), axis, JSON.stringify(marks)]}
      draw={(plot, width) => ({
        marginLeft: 8,
        marginRight: 28,
        marginTop: 0,
        marginBottom: AXIS,
        x: { label: null },
        y: { domain: bars.map(({ name }) => name), axis: null, padding: 0 },
        marks: [
          plot.axisX({
            label: axis,
            labelAnchor: 'left',
            labelOffset: 36,
            labelArrow: 'none',
            tickFormat: tick,
            ticks: width < 480 ? 3 : 6,
          }),
          plot.ruleX(marks, { stroke: 'var(--rule)' }),
          plot.barX(parts, {
            x1: 'from',
            x2: 'to',
            y: 'name',
            fill: (part: { tone: string }) => part.tone,
            insetTop: 20,
            insetBottom: 6,
          }),
          plot.text(bars, {
            x: 0,
            y: 'name',
            text: (bar: Bar) => `${bar.name}: ${bar.detail}`,
            textAnchor: 'start',
            dy: -9,
            fill: 'var(--ink)',
          }),
          plot.ruleX([0]),
        ],
      })}
    />
  );
}
