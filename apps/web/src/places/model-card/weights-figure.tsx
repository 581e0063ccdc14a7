/** What the weights take in memory, in each format. */
import { Figure } from '../../ui/figure.tsx';
import { bytes } from '../../ui/numbers.ts';
import { Bars, PartsLegend } from './bars.tsx';
import { type Card, H800_BYTES } from './card.ts';
import { exact } from './figures.ts';
import { FORMAT_NAMES, weightsFinding } from './findings.ts';

/** Lines beyond this number would only be a pattern. */
const MOST_LINES = 24;

export function WeightsFigure({ card }: { card: Card }) {
  const { weights } = card;
  const devices = Math.floor(weights[0]!.bytes.total / H800_BYTES);
  const marks = devices > MOST_LINES ? [] : Array.from({ length: devices }, (_, i) => (i + 1) * H800_BYTES);
  return (
    <Figure
      title="Memory of the weights by format"
      finding={weightsFinding(card)}
      table={() => ({
        columns: [
          'Format',
          'Projections (bytes)',
          'Their scales (bytes)',
          'Kept in BF16 and F32 (bytes)',
          'All (bytes)',
        ],
        rows: weights.map(({ format, bytes: { quantized, scales, highPrecision, total } }) => [
          FORMAT_NAMES[format],
          ...[quantized, scales, highPrecision, total].map(exact),
        ]),
      })}
    >
      <PartsLegend names={['projections', 'their scales', 'embedding, head, norms, router (BF16)']}>
        {marks.length > 0 && <span>lines: 80 GB each, one H800</span>}
      </PartsLegend>
      <Bars
        label="Memory of the weights in BF16, FP8, INT8 and INT4"
        axis="bytes of weights"
        tick={(value) => (value === 0 ? '0' : bytes(value))}
        marks={marks}
        bars={weights.map(({ format, bytes: { quantized, scales, highPrecision, total } }) => ({
          name: FORMAT_NAMES[format],
          detail: scales === 0 ? bytes(total) : `${bytes(total)}, ${bytes(scales)} of it scales`,
          parts: [quantized, scales, highPrecision],
        }))}
      />
    </Figure>
  );
}
