/** What training the model cost, or would cost, beside the published models. */
import { useState } from 'preact/hooks';
import { Figure } from '../../ui/figure.tsx';
import { percent } from '../../ui/numbers.ts';
import { amountOf } from './amount.ts';
import { Bars } from './bars.tsx';
import type { Card } from './card.ts';
import { count, exact, hours } from './figures.ts';
import { trainingAssumptions, trainingFinding } from './findings.ts';
import { show } from './state.ts';
import type { CardView } from './view.ts';

/** What DeepSeek-V3's report assumes that an hour of an H800 costs, in US dollars. */
const DOLLARS_AN_HOUR = 2;

export function TrainingFigure({ card, view }: { card: Card; view: CardView }) {
  const { rows, published } = card.training;
  const { gpuHours } = published ?? { gpuHours: null };
  return (
    <Figure
      title="Hours of training"
      finding={trainingFinding(card)}
      table={() => ({
        columns: ['Model', 'Tokens', 'FLOP a token', 'H800 hours', `US dollars at ${DOLLARS_AN_HOUR} an hour`],
        rows: [
          ...rows.map(({ name, tokens, cost }) => [
            `${name}, pre-training`,
            count(tokens),
            exact(cost.flopsPerToken),
            exact(Number(cost.gpuHours.toPrecision(4))),
            exact(Number((DOLLARS_AN_HOUR * cost.gpuHours).toPrecision(4))),
          ]),
          ...(gpuHours === null
            ? []
            : (
                [
                  ['Published: pre-training', gpuHours.preTraining],
                  ['Published: context extension', gpuHours.contextExtension],
                  ['Published: post-training', gpuHours.postTraining],
                  ['Published: all', gpuHours.total],
                ] as const
              ).map(([name, value]) => [name, '', '', exact(value), exact(DOLLARS_AN_HOUR * value)])),
        ],
      })}
    >
      <TokensField key={String(card.training.tokens)} card={card} view={view} />
      <Bars
        label="H800 hours of pre-training, of this model and of published ones"
        axis="H800 hours of pre-training"
        tick={(value) => (value === 0 ? '0' : count(value))}
        bars={rows.map(({ name, tokens, cost, isThis }) => ({
          name,
          detail: `${count(tokens)} tokens, ${hours(cost.gpuHours)} hours`,
          parts: [cost.gpuHours],
          isMain: isThis,
        }))}
      />
      {gpuHours !== null && (
        <p class="quiet figures">
          Published: {exact(gpuHours.preTraining)} hours of pre-training, {exact(gpuHours.contextExtension)} of context
          extension, {exact(gpuHours.postTraining)} of post-training; {exact(gpuHours.total)} in all, of which
          pre-training is {percent(gpuHours.preTraining / gpuHours.total)}.
        </p>
      )}
      <details class="figures">
        <summary class="quiet">Formula and assumptions</summary>
        <ul class="assumptions">
          {trainingAssumptions(card).map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
      </details>
    </Figure>
  );
}

function TokensField({ card, view }: { card: Card; view: CardView }) {
  const [wrong, setWrong] = useState(false);
  const change = (text: string) => {
    const tokens = text.trim() === '' ? null : amountOf(text);
    setWrong(tokens === undefined);
    if (tokens !== undefined) show({ ...view, tokens });
  };
  return (
    <div class="field">
      <label for="training-tokens">Tokens to train on</label>
      <input
        id="training-tokens"
        class="short"
        inputMode="decimal"
        value={count(card.training.tokens)}
        aria-invalid={wrong}
        aria-describedby="training-tokens-help"
        onChange={(event) => change(event.currentTarget.value)}
      />
      <p id="training-tokens-help" class={wrong ? 'figures' : 'figures quiet'} aria-live="polite">
        {wrong
          ? 'This is no number of tokens: write it as 14.8 T, 500 B, 20 M or 1e12.'
          : 'As 14.8 T, 500 B, 20 M or 1e12; empty for the published or usual number.'}
      </p>
    </div>
  );
}
