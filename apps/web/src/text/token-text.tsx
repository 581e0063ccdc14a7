/**
 * The text, token by token: underlined by how likely each was, and a place to say which token all pictures show. Pointing
 * at a token or moving to it with the arrow keys selects it; End follows the newest again.
 */
import type { ReadonlySignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { moment, select, shownToken, tokens } from '../state/text.ts';
import { amountStep, isDark } from '../ui/colors.ts';
import { drawing } from '../ui/draw-queue.ts';
import { usePaced } from '../ui/paced.ts';
import type { TextToken } from '../worker/model-api.ts';
import { shownText } from './pieces.ts';
import './token-text.css';

/** Tokens that are drawn together: while text comes only the last group is drawn anew. */
const GROUP = 64;

/** Groups that are put on the page in one turn: a long text comes in several. */
const TURN = 6;

export interface TokenTextProps {
  /** What a screen reader calls it. */
  readonly label: string;
  /** Whether it is kept up to date. */
  readonly isWatched: ReadonlySignal<boolean>;
  /** Whether probabilities are underlined. */
  readonly probabilities?: boolean;
  /** The amount of a position, shown by the line under its token; null where there is none. */
  readonly shares?: ((position: number) => number | null) | null;
  /** Smaller, where the text is not what the place is about. */
  readonly small?: boolean;
}

export function TokenText({ label, isWatched, probabilities = false, shares = null, small = false }: TokenTextProps) {
  const box = useRef<HTMLDivElement>(null);
  const isMoving = useRef(false);
  const now = usePaced(moment, isWatched);
  const all = now.tokens;
  const shown = now.shown?.position ?? -1;
  const [most, setMost] = useState(TURN);
  const needed = Math.ceil(all.length / GROUP);
  const groups = Array.from({ length: Math.min(needed, most) }, (_, index) => index * GROUP);

  useEffect(() => {
    if (needed <= most) return;
    const key = {};
    drawing().add(key, () => setMost(most + TURN));
    return () => drawing().drop(key);
  }, [needed > most, most]);

  useLayoutEffect(() => {
    if (!isMoving.current) return;
    isMoving.current = false;
    box.current?.querySelector('.token-selected')?.scrollIntoView({ block: 'nearest' });
  }, [shown]);

  const onKeyDown = (event: KeyboardEvent) => {
    const to = target(event.key, shownToken()?.position ?? 0, tokens.peek().length);
    if (to === undefined) return;
    event.preventDefault();
    isMoving.current = true;
    select(to);
  };
  const onPointerOver = ({ target: over }: PointerEvent) => {
    const position = over instanceof HTMLElement ? over.dataset.position : undefined;
    if (position !== undefined) select(Number(position));
  };

  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for controls; this is text that one moves through
    <div
      ref={box}
      class={`token-text${small ? ' token-text-small' : ''}`}
      role="group"
      aria-label={`${label}: arrow keys move from token to token, End follows the newest`}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it takes the arrow keys
      tabIndex={0}
      onKeyDown={onKeyDown}
      onPointerOver={onPointerOver}
    >
      {groups.map((start) => (
        <Group
          key={start}
          tokens={all.slice(start, start + GROUP)}
          selected={shown >= start && shown < start + GROUP ? shown : null}
          probabilities={probabilities}
          shares={shares && sharesOf(shares, start, Math.min(start + GROUP, all.length))}
          dark={isDark.value}
        />
      ))}
    </div>
  );
}

/** In steps that the eye can tell apart: a line that looks the same is not drawn again. */
function sharesOf(shares: (position: number) => number | null, start: number, end: number): (number | null)[] {
  return Array.from({ length: end - start }, (_, index) => {
    const share = shares(start + index);
    return share === null ? null : Math.round(share * 63) / 63;
  });
}

interface GroupProps {
  readonly tokens: readonly TextToken[];
  readonly selected: number | null;
  readonly probabilities: boolean;
  readonly shares: readonly (number | null)[] | null;
  readonly dark: boolean;
}

function Group({ tokens: group, selected: chosen, probabilities, shares, dark }: GroupProps) {
  return useMemo(
    () => (
      <>
        {group.map((token, index) => (
          <span key={token.position} data-position={token.position} {...look(token, index)}>
            {shownText(token).replace('\n', '↵\n')}
          </span>
        ))}
      </>
    ),
    [group[0], group.at(-1), group.length, chosen, probabilities, shares?.join(), dark],
  );

  function look(token: TextToken, index: number) {
    const classes = ['token'];
    if (token.logprob === null) classes.push('token-given');
    if (token.position === chosen) classes.push('token-selected');
    const share = shares?.[index] ?? null;
    const style: Record<string, string> = {};
    if (share !== null) {
      style['--share'] = amountStep(share, dark);
      classes.push('token-shaded');
    } else if (probabilities && token.logprob !== null) {
      style['border-bottom-color'] = amountStep(Math.exp(token.logprob), dark);
    }
    return { class: classes.join(' '), style };
  }
}

/** Where a key leads from a position; null to follow the newest, undefined for a key that leads nowhere. */
function target(key: string, from: number, length: number): number | null | undefined {
  if (length === 0) return undefined;
  if (key === 'ArrowLeft') return Math.max(0, from - 1);
  if (key === 'ArrowRight') return Math.min(length - 1, from + 1);
  if (key === 'ArrowUp') return Math.max(0, from - 10);
  if (key === 'ArrowDown') return Math.min(length - 1, from + 10);
  if (key === 'Home') return 0;
  if (key === 'End' || key === 'Escape') return null;
  return undefined;
}
