/** The pictures of a run: its loss, and the load of its experts. */
import type { ReadonlySignal } from '@preact/signals';
import { Figure } from '../../ui/figure.tsx';
import { number, percent } from '../../ui/numbers.ts';
import { usePaced } from '../../ui/paced.ts';
import { Plane } from '../../ui/plane.tsx';
import type { RunFacts, StepMetrics } from '../../worker/train-protocol.ts';
import { loadFinding, lossFinding, lossPoints } from './findings.ts';
import { LoadLegend, LoadPicture } from './load-picture.tsx';
import { RECENT_STEPS, shares } from './loads.ts';
import { metrics as allMetrics } from './state.ts';

/** Rows of the table of losses, at most. */
const ROWS = 200;

interface RunFigureProps {
  readonly facts: RunFacts;
  /** Whether the figure is to be kept up to date. */
  readonly isWatched: ReadonlySignal<boolean>;
}

export function LossFigure({ facts, isWatched }: RunFigureProps) {
  const metrics = usePaced(allMetrics, isWatched);
  const { steps } = facts.settings;
  const points = lossPoints(metrics);
  const heldOut = metrics.filter((line) => line.heldOut !== undefined);
  const chance = Math.log(facts.vocabSize);
  const lowest = Math.min(chance, ...points.map(({ loss }) => loss), ...heldOut.map((line) => line.heldOut!));
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
      <Plane
        label="Loss of each step, and on held-out text, in nats a token"
        height={280}
        margin={{ left: 40, right: 16, top: 24, bottom: 40 }}
        x={{ from: 0, to: steps, label: 'step', format: number }}
        y={{
          from: Math.min(Math.floor(lowest), Math.floor(chance) - 1),
          to: Math.ceil(chance + 0.2),
          label: 'nats a token',
          format: (value) => value.toFixed(1),
        }}
      >
        {({ x, y, line, left, right }) => (
          <>
            <line
              x1={left}
              x2={right}
              y1={y(chance)}
              y2={y(chance)}
              stroke="var(--rule-strong)"
              stroke-dasharray="1 3"
            />
            <text x={right} y={y(chance) - 6} text-anchor="end">
              guessing: {chance.toFixed(2)}
            </text>
            <path d={line(points.map(({ step, loss }) => [step, loss]))} stroke="var(--ink)" />
            {heldOut.map(({ step, heldOut: loss }) => (
              <circle key={step} cx={x(step)} cy={y(loss!)} r={3} fill="var(--paper)" stroke="var(--ink)" />
            ))}
          </>
        )}
      </Plane>
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

export function LoadFigure({ facts, isWatched }: RunFigureProps) {
  const metrics = usePaced(allMetrics, isWatched);
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
