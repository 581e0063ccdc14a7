/** The pictures of a run: its loss, and the load of its experts. */
import { Chart } from '../../ui/chart.tsx';
import { Figure } from '../../ui/figure.tsx';
import { number, percent } from '../../ui/numbers.ts';
import type { RunFacts, StepMetrics } from '../../worker/train-protocol.ts';
import { loadFinding, lossFinding, lossPoints } from './findings.ts';
import { LoadLegend, LoadPicture } from './load-picture.tsx';
import { RECENT_STEPS, shares } from './loads.ts';

/** Rows of the table of losses, at most. */
const ROWS = 200;

interface RunFigureProps {
  readonly facts: RunFacts;
  readonly metrics: readonly StepMetrics[];
}

export function LossFigure({ facts, metrics }: RunFigureProps) {
  const { steps } = facts.settings;
  return (
    <Figure
      title="Loss"
      finding={lossFinding(metrics, facts)}
      table={() => ({
        columns: ['Step', 'Loss (nats a token)', 'Held-out text (nats a token)', 'Tokens/s'],
        rows: rowsOf(metrics).map((line) => [
          number(line.step),
          line.loss.toFixed(4),
          line.heldOut?.toFixed(4) ?? '',
          number(Math.round(line.tokensPerSecond)),
        ]),
      })}
    >
      <Chart
        label="Loss of each step, and on held-out text, in nats a token"
        height={280}
        of={[metrics, steps, facts.vocabSize]}
        draw={(plot) => {
          const points = lossPoints(metrics);
          const heldOut = metrics.filter((line) => line.heldOut !== undefined);
          const chance = Math.log(facts.vocabSize);
          const lowest = Math.min(chance, ...points.map(({ loss }) => loss), ...heldOut.map((line) => line.heldOut!));
          return {
            marginLeft: 40,
            marginRight: 16,
            marginTop: 24,
            marginBottom: 40,
            x: { domain: [0, steps] },
            y: { domain: [Math.min(Math.floor(lowest), Math.floor(chance) - 1), Math.ceil(chance + 0.2)] },
            marks: [
              plot.gridY({ ticks: 5, stroke: 'var(--rule)', strokeOpacity: 1 }),
              plot.axisY({ ticks: 5, label: 'nats a token', labelArrow: 'none', labelAnchor: 'top' }),
              plot.axisX({ ticks: 5, label: 'step', labelArrow: 'none' }),
              plot.ruleY([chance], { stroke: 'var(--rule-strong)', strokeDasharray: '1 3' }),
              plot.text([chance], {
                x: () => steps,
                y: (value: number) => value,
                text: () => `guessing: ${chance.toFixed(2)}`,
                textAnchor: 'end',
                dy: -8,
                fill: 'var(--ink-quiet)',
              }),
              plot.line(points, { x: 'step', y: 'loss', stroke: 'var(--ink)', strokeWidth: 1.5 }),
              plot.dot(heldOut, { x: 'step', y: 'heldOut', r: 3, stroke: 'var(--ink)', fill: 'var(--paper)' }),
            ],
          };
        }}
      />
      <p class="quiet figures">
        Line: the text that it learns from.{' '}
        {facts.heldOutTokens > 0
          ? `Circles: the last ${number(facts.heldOutTokens)} tokens of the text, which it does not learn from.`
          : 'The text is too short to hold any of it out.'}
      </p>
    </Figure>
  );
}

/** All steps, or as many at equal distances, and every one that was evaluated. */
function rowsOf(metrics: readonly StepMetrics[]): readonly StepMetrics[] {
  const every = Math.ceil(metrics.length / ROWS);
  return metrics.filter((line, i) => i % every === 0 || line.heldOut !== undefined);
}

export function LoadFigure({ facts, metrics }: RunFigureProps) {
  const { steps } = facts.settings;
  const last = metrics.at(-1)?.step ?? 0;
  return (
    <Figure
      title="Load of the experts"
      finding={loadFinding(metrics, facts)}
      table={() => ({
        columns: ['Layer and expert', `Share of the last ${RECENT_STEPS} steps' choices`, 'Even'],
        rows: facts.moeLayers.flatMap((layer, index) =>
          shares(metrics.slice(-RECENT_STEPS), index).map((share, expert) => [
            `layer ${layer}, expert ${expert}`,
            percent(share),
            percent(1 / facts.experts),
          ]),
        ),
      })}
    >
      <LoadLegend />
      <div class="load-pictures">
        {facts.moeLayers.map((layer, index) => (
          <div key={layer}>
            <p class="figures">
              Layer {layer} <span class="quiet">experts 0 to {facts.experts - 1}, from the top</span>
            </p>
            <LoadPicture
              metrics={metrics}
              layer={index}
              experts={facts.experts}
              steps={steps}
              label={`Load of the ${facts.experts} experts of layer ${layer} over ${last} steps`}
            />
            <p class="quiet figures load-axis">
              <span>step 0</span>
              <span>{number(steps)}</span>
            </p>
          </div>
        ))}
      </div>
    </Figure>
  );
}
