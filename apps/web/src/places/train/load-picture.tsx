/** The load of each expert of one layer over the steps: a row for each expert, time from left to right. */
import { amountColor, isDark } from '../../ui/colors.ts';
import { HeatMap } from '../../ui/heat-map.tsx';
import type { StepMetrics } from '../../worker/train-protocol.ts';
import { relativeLoads } from './loads.ts';

/** Load that is drawn strongest: this many times the even one. */
const STRONGEST = 2;

interface LoadPictureProps {
  readonly metrics: readonly StepMetrics[];
  /** Index among the layers with experts. */
  readonly layer: number;
  readonly experts: number;
  /** Steps of the whole run: the picture is as wide as the run is done. */
  readonly steps: number;
  readonly label: string;
}

export function LoadPicture({ metrics, layer, experts, steps, label }: LoadPictureProps) {
  const columns = relativeLoads(metrics, layer);
  const share = metrics.length === 0 ? 0 : metrics.at(-1)!.step / steps;
  return (
    <div class="load-picture">
      <div style={{ width: `${100 * share}%` }}>
        <HeatMap
          entries={columns}
          along="columns"
          room={columns.length}
          cells={experts}
          amounts={(column, cells) => {
            for (const [expert, load] of column.entries()) cells[expert] = load / STRONGEST;
          }}
          height={Math.max(6, 96 / experts) * experts}
          label={label}
        />
      </div>
    </div>
  );
}

/** What the colours of the picture mean. */
export function LoadLegend() {
  const dark = isDark.value;
  const stops = [0, 0.25, 0.5, 0.75, 1].map((share) => amountColor(share, dark));
  return (
    <p class="quiet figures load-legend">
      no tokens <i style={{ background: `linear-gradient(90deg, ${stops.join(', ')})` }} /> twice an even share, or more
    </p>
  );
}
