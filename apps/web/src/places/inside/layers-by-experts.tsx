/** An amount for each expert of each MoE layer: layers down, experts across, with their numbers. */
import { HeatMap } from '../../ui/heat-map.tsx';
import { range, stepFor } from './range.ts';

/** Pixels that a number on an axis takes. */
const TICK = { across: 24, down: 16 };
/** Width of a picture on a phone, which must have room for its numbers. */
const NARROW = 280;

export interface LayersByExpertsProps<T extends object> {
  readonly layers: readonly number[];
  readonly experts: number;
  /** For each layer. */
  readonly rows: readonly T[];
  readonly amounts: (row: T, cells: Float32Array) => void;
  /** Whatever amounts depend on beside the row. */
  readonly of: readonly unknown[];
  readonly label: string;
  /** What the ends of the scale are. */
  readonly scale: { readonly none: string; readonly most: string };
}

export function LayersByExperts<T extends object>(props: LayersByExpertsProps<T>) {
  const { layers, experts, rows, amounts, of, label, scale } = props;
  const height = Math.min(480, Math.max(96, 28 * layers.length));
  const everyLayer = stepFor(layers.length, height / TICK.down);
  const everyExpert = stepFor(experts, NARROW / TICK.across);
  return (
    <div class="axes">
      <div class="axes-y axes-y-layers" aria-hidden="true">
        {layers.map((layer, index) => (
          <span key={layer}>{index % everyLayer === 0 ? `layer ${layer}` : ''}</span>
        ))}
      </div>
      <HeatMap
        entries={rows}
        along="rows"
        room={layers.length}
        cells={experts}
        amounts={amounts}
        of={of}
        height={height}
        label={label}
        hasGrid={experts <= 64}
      />
      <div class="ticks" aria-hidden="true">
        {range(experts)
          .filter((expert) => expert % everyExpert === 0)
          .map((expert) => (
            <span key={expert} style={{ left: `${(100 * (expert + 0.5)) / experts}%` }}>
              {expert}
            </span>
          ))}
      </div>
      <div class="axes-x" aria-hidden="true">
        <span>expert</span>
        <span>
          {scale.none} <span class="scale" /> {scale.most}
        </span>
      </div>
    </div>
  );
}
