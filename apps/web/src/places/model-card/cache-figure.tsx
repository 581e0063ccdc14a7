/** How the cache grows with the context: latent, grouped and plain attention, both axes logarithmic. */
import { Chart } from '../../ui/chart.tsx';
import { Figure } from '../../ui/figure.tsx';
import { bytes } from '../../ui/numbers.ts';
import { type CacheSeries, type Card, contextLengths, H800_BYTES } from './card.ts';
import { exact } from './figures.ts';
import { ATTENTION_NAMES, cacheFinding } from './findings.ts';
import { show } from './state.ts';
import { CACHE_DTYPES, type CacheDtype, type CardView } from './view.ts';

const DTYPE_NAMES: Readonly<Record<CacheDtype, string>> = { bf16: 'BF16', e4m3: 'FP8', f32: 'F32' };
const LENGTHS = contextLengths();
/** Point of a line, counted from the shortest context, before which its name stands. */
const NAMED = 3;
const DASHES: Readonly<Record<CacheSeries['kind'], string>> = { latent: '0', grouped: '8 3', 'multi-head': '2 3' };

export function CacheFigure({ card, view }: { card: Card; view: CardView }) {
  const { cache } = card;
  const title = `Cache against context (${DTYPE_NAMES[view.cache]})`;
  return (
    <Figure
      title={title}
      finding={cacheFinding(card)}
      table={() => ({
        columns: ['Context (tokens)', ...cache.series.map(({ kind }) => `${ATTENTION_NAMES[kind]} (bytes)`)],
        rows: [
          ['1', ...cache.series.map(({ bytesPerToken }) => exact(bytesPerToken))],
          ...LENGTHS.map((tokens) => [
            exact(tokens),
            ...cache.series.map(({ bytesPerToken }) => exact(tokens * bytesPerToken)),
          ]),
        ],
      })}
    >
      <Controls view={view} heads={card.config.numAttentionHeads} groups={cache.groups} />
      <Chart
        label="Bytes of cache against tokens of context, for latent, grouped and plain attention"
        height={320}
        of={[cache, view.context]}
        draw={(plot, width) => {
          const last = LENGTHS.at(-1)!;
          const chosen = cache.series.map(({ kind, bytesPerToken }) => ({ kind, y: view.context * bytesPerToken }));
          const largest = Math.max(...cache.series.map(({ bytesPerToken }) => last * bytesPerToken));
          const smallest = Math.min(...cache.series.map(({ bytesPerToken }) => LENGTHS[0]! * bytesPerToken));
          return {
            marginLeft: 64,
            marginRight: 24,
            marginTop: 24,
            marginBottom: 40,
            x: { type: 'log', base: 2, domain: [LENGTHS[0]!, last] },
            y: { type: 'log', domain: [smallest / 2, largest * 2] },
            marks: [
              plot.gridY({ ticks: 4, stroke: 'var(--rule)', strokeOpacity: 1 }),
              plot.axisY({
                ticks: 4,
                tickFormat: (value: number) => bytes(value),
                label: 'cache',
                labelArrow: 'none',
                labelAnchor: 'top',
              }),
              plot.axisX({
                ticks: width < 480 ? LENGTHS.filter((_, i) => i % 2 === 1) : LENGTHS,
                tickFormat: (value: number) => `${value / 1024} Ki`,
                label: 'tokens of context',
                labelArrow: 'none',
              }),
              ...(largest * 2 > H800_BYTES && smallest < H800_BYTES
                ? [
                    plot.ruleY([H800_BYTES], { stroke: 'var(--rule-strong)', strokeDasharray: '1 3' }),
                    plot.text([{ x: LENGTHS[0]!, y: H800_BYTES }], {
                      x: 'x',
                      y: 'y',
                      text: () => 'one H800, 80 GB',
                      textAnchor: 'start',
                      dx: 4,
                      dy: -7,
                      fill: 'var(--ink-quiet)',
                    }),
                  ]
                : []),
              plot.ruleX([view.context], { stroke: 'var(--accent)' }),
              ...cache.series.map(({ kind, points }) =>
                plot.line(points, {
                  x: (point: readonly number[]) => point[0],
                  y: (point: readonly number[]) => point[1],
                  stroke: kind === 'latent' ? 'var(--ink)' : 'var(--rule-strong)',
                  strokeWidth: kind === 'latent' ? 2.5 : 1.75,
                  strokeDasharray: DASHES[kind],
                }),
              ),
              plot.dot(chosen, { x: () => view.context, y: 'y', fill: 'var(--accent)', r: 3.5 }),
              plot.text(nameplates(cache.series), {
                x: 'x',
                y: 'y',
                text: 'text',
                textAnchor: 'end',
                dy: -9,
                dx: -4,
                fill: 'var(--ink)',
                stroke: 'var(--paper)',
                strokeWidth: 4,
              }),
            ],
          };
        }}
      />
    </Figure>
  );
}

/** Names above the lines, where each has room; lines that fall together share one. */
function nameplates(series: readonly CacheSeries[]): { x: number; y: number; text: string }[] {
  const plates: { x: number; y: number; text: string }[] = [];
  for (const { kind, points } of series) {
    const [x, y] = points[NAMED]!;
    const same = plates.find((plate) => plate.y === y);
    if (same) same.text += ` and ${ATTENTION_NAMES[kind]}`;
    else plates.push({ x, y, text: ATTENTION_NAMES[kind] });
  }
  return plates;
}

function Controls({ view, heads, groups }: { view: CardView; heads: number; groups: number }) {
  const nearest = LENGTHS.reduce((best, tokens, i) => (tokens <= view.context ? i : best), 0);
  return (
    <div class="row">
      <label class="field">
        <span>Context: {exact(view.context)} tokens</span>
        <input
          type="range"
          min={0}
          max={LENGTHS.length - 1}
          step={1}
          value={nearest}
          aria-valuetext={`${exact(view.context)} tokens`}
          onInput={(event) => show({ ...view, context: LENGTHS[Number(event.currentTarget.value)]! })}
        />
      </label>
      <label class="field">
        <span>Groups</span>
        <input
          type="number"
          min={1}
          max={heads}
          value={groups}
          onChange={(event) => {
            const value = event.currentTarget.valueAsNumber;
            if (Number.isInteger(value) && value >= 1) show({ ...view, groups: Math.min(value, heads) });
            else event.currentTarget.value = String(groups);
          }}
        />
      </label>
      <label class="field">
        <span>Cached in</span>
        <select
          value={view.cache}
          onChange={(event) => show({ ...view, cache: event.currentTarget.value as CacheDtype })}
        >
          {CACHE_DTYPES.map((dtype) => (
            <option key={dtype} value={dtype}>
              {DTYPE_NAMES[dtype]}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}
