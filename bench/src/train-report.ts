/** What the measurements of training show: speeds, and which share of the machine's matrix products they are. */
import { type Goal, judged } from './goal.ts';
import type { Results } from './results.ts';
import { medianOf, ratio } from './statistics.ts';
import { digits, table } from './table.ts';
import { marianaTraining, PRECISIONS, PYTORCH, PYTORCH_BF16, SQUARE, TRAIN, TRANSFORMERS } from './train-specs.ts';

const SUBJECTS = [...PRECISIONS.map(marianaTraining), TRANSFORMERS, PYTORCH, PYTORCH_BF16];

/** Losses of the same weights on the same batch that are further apart are of another computation. */
const SAME_LOSS = 1e-3;

/** The table of training, and a warning where the subjects do not compute the same. Empty if nothing was measured. */
export function trainTable(results: Results, threads: readonly number[]): string {
  const rows = threads.flatMap((count) => SUBJECTS.flatMap((subject) => row(results, subject, count)));
  if (rows.length === 0) return '';
  const head = ['', 'tokens/s', 'G operations/s', 'of its own peak', "of the machine's", 'loss before', 'of MTP'];
  const parts = [`Training, forward, backward and AdamW\n\n${table([head, ...rows])}`, peaks(results, threads)];
  const apart = differences(results);
  if (apart.length > 0) parts.push(`Warning: not the same computation: ${apart.join('; ')}`);
  return parts.join('\n\n');
}

function row(results: Results, subject: string, threads: number): string[][] {
  const speed = medianOf(results.samples, { subject, threads, metric: TRAIN });
  if (speed === undefined) return [];
  const flops = results.told(marianaTraining('f32'), threads, 'flopsPerToken');
  const rate = flops === undefined ? undefined : (speed.value * flops) / 1e9;
  const share = (peak: number | undefined) =>
    rate === undefined || peak === undefined ? '' : `${digits((100 * rate) / peak)} %`;
  const told = (detail: string) => results.told(subject, threads, detail)?.toFixed(4) ?? '';
  return [
    [
      `${subject}, ${threads} t`,
      `${speed.quiet ? '' : '~'}${digits(speed.value)}`,
      rate === undefined ? '' : digits(rate),
      share(ownPeak(results, subject, threads)),
      share(machinePeak(results, threads)),
      told('loss'),
      told('mtpLoss'),
    ],
  ];
}

const peakOf = (results: Results, subject: string, threads: number) =>
  medianOf(results.samples, { subject, threads, metric: SQUARE })?.value;

/** Operations a second of the subject's own square product. Mariana's precisions differ in operands, not in kernels. */
function ownPeak(results: Results, subject: string, threads: number): number | undefined {
  if (subject === PYTORCH_BF16) return peakOf(results, PYTORCH_BF16, threads);
  return peakOf(results, subject.startsWith('mariana') ? marianaTraining('f32') : PYTORCH, threads);
}

/** The faster of the two square products in F32. */
function machinePeak(results: Results, threads: number): number | undefined {
  const known = [marianaTraining('f32'), PYTORCH].map((subject) => peakOf(results, subject, threads));
  const peaks = known.filter((peak) => peak !== undefined);
  return peaks.length === 0 ? undefined : Math.max(...peaks);
}

function peaks(results: Results, threads: readonly number[]): string {
  const subjects = [marianaTraining('f32'), PYTORCH, PYTORCH_BF16];
  const rows = subjects.map((subject) => [
    subject,
    ...threads.map((count) => {
      const peak = peakOf(results, subject, count);
      return peak === undefined ? '' : digits(peak);
    }),
  ]);
  return `Product of matrices of 1024 x 1024, in G operations a second\n\n${table([['', ...threads.map((count) => `${count} t`)], ...rows])}`;
}

/** Subjects in F32 whose losses are not those of Mariana in F32. */
function differences(results: Results): string[] {
  const mine = marianaTraining('f32');
  return [...results.greetings].flatMap(([key]) => {
    const [subject = '', threads = ''] = key.split('/');
    if (subject !== TRANSFORMERS && subject !== PYTORCH) return [];
    return ['loss', 'mtpLoss'].flatMap((detail) => {
      const [own, other] = [mine, subject].map((name) => results.told(name, Number(threads), detail));
      if (own === undefined || other === undefined || Math.abs(own - other) <= SAME_LOSS) return [];
      return [`${detail} of ${subject} is ${other}, of ${mine} ${own}`];
    });
  });
}

/** At least as fast as PyTorch, on as many threads. */
export function trainGoals(results: Results, threads: readonly number[]): Goal[] {
  const compare = (name: string, mine: string, other: string, count: number) => {
    const series = (subject: string) => ({ subject, threads: count, metric: TRAIN });
    return judged(name, 1, ratio(results.samples, series(mine), series(other)));
  };
  return threads
    .flatMap((count) => [
      compare(`training against transformers, ${count} t`, marianaTraining('f32'), TRANSFORMERS, count),
      compare(`training against lean PyTorch, ${count} t`, marianaTraining('f32'), PYTORCH, count),
    ])
    .filter((goal) => goal !== undefined);
}
