/** What the multi-token-prediction module drafted, and which drafts were right. */
import { useMemo } from 'preact/hooks';
import { moment } from '../../state/text.ts';
import { quoted, visible } from '../../text/pieces.ts';
import { Figure } from '../../ui/figure.tsx';
import { usePaced } from '../../ui/paced.ts';
import type { TextToken } from '../../worker/model-api.ts';
import type { InsideFigureProps } from './routes.ts';
import { type DraftFate, draftFates, draftFinding } from './statistics.ts';

const MARKS: Readonly<Record<DraftFate, string>> = { right: '✓', wrong: '×', none: '', given: '' };
const WORDS: Readonly<Record<DraftFate, string>> = {
  right: 'right',
  wrong: 'wrong',
  none: 'none: the draft before it was right, so this one came with it',
  given: 'given in the prompt',
};

/** Marks that are drawn together: while text comes only the last of them are drawn anew. */
const GROUP = 64;

export function DraftsFigure({ model: { drafts }, isWatched }: InsideFigureProps) {
  const { tokens, shown } = usePaced(moment, isWatched);
  const fates = useMemo(() => draftFates(tokens), [tokens]);
  const finding = drafts
    ? draftFinding(fates)
    : 'This model has no multi-token-prediction module, so every token takes a step of its own.';
  const table = () => ({
    columns: ['Token', 'Draft', 'Fate'],
    rows: tokens.map((token, index) => [
      `${token.position + 1} ${visible(token.name)}`,
      token.draft === null ? '–' : visible(token.draft.text),
      WORDS[fates[index]!],
    ]),
  });
  const starts = Array.from({ length: Math.ceil(fates.length / GROUP) }, (_, index) => index * GROUP);
  const position = shown?.position ?? -1;
  return (
    <Figure title="Drafts of the next token but one" finding={finding} table={table}>
      {drafts && (
        <>
          <div class="drafts" role="img" aria-label={finding}>
            {starts.map((start) => (
              <Marks
                key={start}
                fates={fates.slice(start, start + GROUP)}
                shown={position >= start && position < start + GROUP ? position - start : -1}
              />
            ))}
          </div>
          <p class="quiet figures">
            ✓ the draft was right, and the token came with the one before; × it was wrong, and cost little.{' '}
            {draftOf(shown)}
          </p>
        </>
      )}
    </Figure>
  );
}

function Marks({ fates, shown }: { fates: readonly DraftFate[]; shown: number }) {
  return useMemo(
    () => (
      <>
        {fates.map((fate, index) => (
          <span key={index} class={`draft-${fate}${index === shown ? ' draft-shown' : ''}`}>
            {MARKS[fate]}
          </span>
        ))}
      </>
    ),
    [fates.join(), shown],
  );
}

function draftOf(token: TextToken | null): string {
  if (token?.draft == null) return '';
  const own = quoted(token);
  return token.draft.id === token.id
    ? `For this token ${own} was drafted, rightly.`
    : `For this token ${quoted(token.draft)} was drafted; ${own} came.`;
}
