/** Where the parameters are, and how many of them work for a token. */
import { Figure } from '../../ui/figure.tsx';
import { percent } from '../../ui/numbers.ts';
import { Bars, PartsLegend } from './bars.tsx';
import type { Card, Component } from './card.ts';
import { count, exact } from './figures.ts';
import { parametersFinding } from './findings.ts';

export function ParametersFigure({ card }: { card: Card }) {
  const { components, parameters } = card;
  const { total } = parameters;
  return (
    <Figure
      title="Parameters by component"
      finding={parametersFinding(card)}
      table={() => ({
        columns: ['Component', 'Parameters', 'Share of the model', 'Used for a token'],
        rows: [
          ...components.map(({ name, total: all, active }) => [name, exact(all), percent(all / total), exact(active)]),
          ['Model, without multi-token prediction', exact(total), percent(1), exact(parameters.active)],
        ],
      })}
    >
      <PartsLegend names={['used for a token', 'not used for it']} />
      <Bars
        label="Parameters by component, and the part of each that is used for a token"
        axis="parameters"
        tick={(value) => (value === 0 ? '0' : count(value))}
        bars={components.map((one) => ({
          name: one.name,
          detail: detail(one, total),
          parts: [one.active, one.total - one.active],
        }))}
      />
    </Figure>
  );
}

function detail({ total, active }: Component, all: number): string {
  const used = active === total ? 'all used' : active === 0 ? 'a row looked up' : `${count(active)} used`;
  return `${count(total)} (${percent(total / all)}), ${used}`;
}
