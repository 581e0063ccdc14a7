/** The loss of a run of `mariana train` as a picture: `node bench/src/loss-curve.ts <metrics.jsonl> <out.svg>`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { picture, smoothed } from './picture.ts';

interface Line {
  readonly step: number;
  readonly crossEntropy: number;
  readonly tokens: number;
  /** Where the model was evaluated. */
  readonly validation?: { readonly crossEntropy: number };
}

const [metrics, out] = process.argv.slice(2);
if (metrics === undefined || out === undefined) {
  console.error('say which metrics and where to: loss-curve.ts <metrics.jsonl> <out.svg>');
  process.exit(2);
}
const lines = readFileSync(metrics, 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Line);
const steps = lines.at(-1)!.step;
writeFileSync(
  out,
  picture(steps, [
    {
      title: `Loss over ${lines.at(-1)!.tokens.toLocaleString('en-US')} tokens`,
      unit: 'nats a token',
      series: [
        {
          name: 'training, means over 100 steps',
          color: 1,
          points: smoothed(lines.map(({ crossEntropy }) => crossEntropy)),
        },
        {
          name: 'validation',
          color: 2,
          dots: true,
          points: lines.flatMap(({ step, validation }) =>
            validation ? [[step, validation.crossEntropy] as const] : [],
          ),
        },
      ],
    },
  ]),
);
