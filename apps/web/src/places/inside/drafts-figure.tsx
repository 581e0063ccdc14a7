/** What the multi-token-prediction module drafted, and which drafts were right. */
import { shownToken, tokens } from '../../state/text.ts';
import { quoted, visible } from '../../text/pieces.ts';
import { Figure } from '../../ui/figure.tsx';
import type { TextToken } from '../../worker/model-api.ts';
import { type DraftFate, draftFates, draftFinding } from './statistics.ts';

const MARKS: Readonly<Record<DraftFate, string>> = { right: '✓', wrong: '×', none: '', given: '' };
const WORDS: Readonly<Record<DraftFate, string>> = {
  right: 'right',
  wrong: 'wrong',
  none: 'none: the draft before it was right, so this one came with it',
  given: 'given in the prompt',
};

export function DraftsFigure({ drafts }: { drafts: boolean }) {
  const all = tokens.value;
  const fates = draftFates(all);
  const shown = shownToken();
  const finding = drafts
    ? draftFinding(fates)
    : 'This model has no multi-token-prediction module, so every token takes a step of its own.';
  const table = () => ({
    columns: ['Token', 'Draft', 'Fate'],
    rows: all.map((token, index) => [
      `${token.position + 1} ${visible(token.name)}`,
      token.draft === null ? '–' : visible(token.draft.text),
      WORDS[fates[index]!],
    ]),
  });
  return (
    <Figure title="Drafts of the next token but one" finding={finding} table={table}>
      {drafts && (
        <>
          <div class="drafts" role="img" aria-label={finding}>
            {fates.map((fate, position) => (
              <span key={position} class={`draft-${fate}${position === shown?.position ? ' draft-shown' : ''}`}>
                {MARKS[fate]}
              </span>
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

function draftOf(token: TextToken | null): string {
  if (token?.draft == null) return '';
  const own = quoted(token);
  return token.draft.id === token.id
    ? `For this token ${own} was drafted, rightly.`
    : `For this token ${quoted(token.draft)} was drafted; ${own} came.`;
}
