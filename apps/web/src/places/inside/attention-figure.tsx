/** What each head takes of each token, for one layer: all heads small, one of them large, and the token's row as text. */
import type { ReadonlySignal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import { attentionAt, attentionKept, watch } from '../../state/observed.ts';
import { moment } from '../../state/text.ts';
import { visible } from '../../text/pieces.ts';
import { TokenText } from '../../text/token-text.tsx';
import { Figure } from '../../ui/figure.tsx';
import { InView } from '../../ui/in-view.tsx';
import { percent } from '../../ui/numbers.ts';
import { usePaced } from '../../ui/paced.ts';
import { HeadMap } from './head-map.tsx';
import { range } from './range.ts';
import type { InsideFigureProps } from './routes.ts';
import { show, shownLayers } from './shown.ts';
import { attentionFinding, attentionRow, keptFinding } from './statistics.ts';

export function AttentionFigure({ model: { config }, isWatched }: InsideFigureProps) {
  const layers = config.numHiddenLayers;
  const heads = config.numAttentionHeads;
  const layer = Math.min(shownLayers.value.attention, layers - 1);
  const head = Math.min(shownLayers.value.head, heads - 1);
  const { tokens, shown } = usePaced(moment, isWatched);
  const seen = shown === null ? undefined : attentionAt(shown.position);
  const kept = attentionKept();
  const row = seen === undefined ? null : attentionRow(seen, head);
  const most = row === null ? 1 : row.reduce((most, weight) => Math.max(most, weight), 0);
  const table = () => ({
    columns: ['Token', ...range(heads).map((one) => `Head ${one}`)],
    rows:
      seen === undefined
        ? []
        : tokens
            .slice(0, seen.position + 1)
            .map((one, position) => [
              `${position + 1} ${visible(one.name)}`,
              ...range(heads).map((index) => percent(attentionRow(seen, index)[position]!)),
            ]),
  });
  return (
    <Figure title="Attention" finding={finding()} table={table}>
      <fieldset class="row plain">
        <legend class="visually-hidden">Layer</legend>
        <span class="quiet" aria-hidden="true">
          Layer
        </span>
        {range(layers).map((one) => (
          <button key={one} type="button" aria-pressed={one === layer} onClick={() => choose(one)}>
            {one}
          </button>
        ))}
      </fieldset>
      <div class="attention">
        <InView isActive={isWatched} height={400}>
          {(isSeen) => <HeadMap head={head} height={320} layer={layer} isWatched={isSeen} />}
        </InView>
        <TokenText
          label={`Attention of head ${head}, on the text`}
          isWatched={isWatched}
          // Only the text that is there is shaded; tokens after this one cannot be seen by it.
          shares={row && ((position) => (position < row.length ? row[position]! / most : null))}
        />
      </div>
      <Multiples head={head} heads={heads} layer={layer} isWatched={isWatched} />
      <p class="quiet figures">{keptFinding(kept, tokens.length)}</p>
    </Figure>
  );

  function finding(): string {
    if (seen !== undefined) return attentionFinding(seen, head, tokens);
    if (shown !== null && shown.position < kept.from) {
      return `The attention of this token is not kept any more: the newest ${tokens.length - kept.from} tokens' is.`;
    }
    return 'This token has not been through the network: it is run when the next one is wanted.';
  }
}

interface MapsProps {
  readonly head: number;
  readonly layer: number;
  readonly isWatched: ReadonlySignal<boolean>;
}

/** The maps are drawn in turns of their own, not with the figure around them. */
function Multiples({ head, heads, layer, isWatched }: MapsProps & { heads: number }) {
  return useMemo(
    () => (
      <div class="multiples">
        {range(heads).map((one) => (
          <button
            key={one}
            type="button"
            class="multiple"
            aria-pressed={one === head}
            onClick={() => show({ head: one })}
          >
            Head {one}
            <InView isActive={isWatched} height={112}>
              {(isSeen) => <HeadMap head={one} height={112} layer={layer} isWatched={isSeen} small />}
            </InView>
          </button>
        ))}
      </div>
    ),
    [head, heads, layer, isWatched],
  );
}

function choose(layer: number): void {
  show({ attention: layer });
  watch(layer);
}
