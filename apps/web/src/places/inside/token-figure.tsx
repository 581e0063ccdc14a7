/** The experts of one token in all MoE layers. */
import { useMemo } from 'preact/hooks';
import { routingAt } from '../../state/observed.ts';
import { moment } from '../../state/text.ts';
import { Figure } from '../../ui/figure.tsx';
import { percent } from '../../ui/numbers.ts';
import { usePaced } from '../../ui/paced.ts';
import { LayersByExperts } from './layers-by-experts.tsx';
import { type InsideFigureProps, useRoutes } from './routes.ts';
import { choices, largestShare, tokenFinding } from './statistics.ts';

export function TokenFigure({ model, isWatched }: InsideFigureProps) {
  const { shown, version } = usePaced(moment, isWatched);
  const routes = useRoutes(model, version);
  const routing = shown === null ? undefined : routingAt(shown.position);
  const rows = useMemo(
    () => routes.layers.map((_, index) => (routing === undefined ? [] : choices(routes, routing, index))),
    [routing, model],
  );
  const finding =
    shown === null || routing === undefined
      ? 'This token has not been through the network: it is run when the next one is wanted.'
      : tokenFinding(routes, routing, shown);
  const table = () => ({
    columns: ['Layer', 'Expert', 'Share of weight'],
    rows: rows.flatMap((row, index) => row.map(({ expert, share }) => [routes.layers[index]!, expert, percent(share)])),
  });
  const most = useMemo(() => largestShare(routes), [routes]);
  return (
    <Figure title="Experts of this token, in each layer" finding={finding} table={table}>
      <LayersByExperts
        layers={routes.layers}
        experts={routes.experts}
        rows={rows}
        amounts={(row, cells) => {
          for (const { expert, share } of row) cells[expert] = share / most;
        }}
        of={[most]}
        label={finding}
        scale={{ none: 'share of the token’s weight: 0 %', most: percent(most) }}
      />
    </Figure>
  );
}
