/** What the numbers ought to be, and whether they are. A comparison that was disturbed gets no verdict. */
import { DRAFT_FORMATS, storyTeller, TELL } from './draft-specs.ts';
import { type Goal, judged } from './goal.ts';
import type { Results } from './results.ts';
import {
  CACHES,
  contextName,
  LIMITS,
  LLAMA_CPP,
  mariana,
  NODE_LLAMA_CPP,
  pastName,
  SHAPES,
  shapeName,
} from './specs.ts';
import { isQuiet, median, type Ratio, ratio, select } from './statistics.ts';
import { trainGoals } from './train-report.ts';

const INT8 = mariana('int8');

/** All goals for which there are measurements. */
export function goals(results: Results): Goal[] {
  const { samples } = results;
  const threads = [...new Set(samples.map((sample) => sample.threads))].sort((a, b) => a - b);
  const found: (Goal | undefined)[] = [];
  const compare = (name: string, goal: number, above: [string, number, string], below: [string, number, string]) => {
    found.push(judged(name, goal, ratio(samples, series(above), series(below))));
  };
  for (const t of threads) {
    compare(`decode against llama.cpp, ${t} t`, 1.8, [INT8, t, 'decode'], [LLAMA_CPP, t, 'decode']);
    compare(`decode against node-llama-cpp, ${t} t`, 3.5, [INT8, t, 'decode'], [NODE_LLAMA_CPP, t, 'decode']);
    const bytes = results.told(INT8, t, 'weightBytes');
    const share = ratio(samples, series([INT8, t, 'decode']), series([LIMITS, t, 'product']));
    if (bytes !== undefined) found.push(judged(`decode by bare kernel, ${t} t`, 0.65, scaled(share, bytes / 1e9)));
    compare(`prefill against llama.cpp, ${t} t`, 1.5, [INT8, t, 'prefill'], [LLAMA_CPP, t, 'prefill']);
  }
  compare('decode with 2 threads against 1', 1.5, [INT8, 2, 'decode'], [INT8, 1, 'decode']);
  for (const [peer, goal] of [
    ['tfjs-wasm', 4],
    ['tfjs-cpu', 50],
  ] as const) {
    for (const format of ['f32', 'int8']) found.push(worstProduct(results, format, peer, goal));
  }
  for (const dtype of CACHES) {
    for (const t of threads) {
      const name = `time at 32K by time when empty, ${dtype} cache, ${t} t`;
      const [empty, long] = [0, 32768].map((past) => series([contextName(dtype), t, pastName(past)]));
      found.push(judged(name, 3, ratio(samples, empty!, long!), false));
    }
  }
  for (const t of threads) found.push(loadGoal(results, t));
  for (const t of threads) {
    for (const format of DRAFT_FORMATS) {
      const [drafts, none] = [true, false].map(
        (has) => [storyTeller(format, has), t, TELL] as [string, number, string],
      );
      compare(`stories with drafts against without, ${format}, ${t} t`, 1, drafts!, none!);
    }
  }
  found.push(...trainGoals(results, threads));
  return found.filter((goal) => goal !== undefined);
}

function series([subject, threads, metric]: [string, number, string]) {
  return { subject, threads, metric };
}

function scaled(of: Ratio | undefined, factor: number): Ratio | undefined {
  if (of === undefined) return undefined;
  return { ...of, value: of.value * factor, least: of.least * factor, most: of.most * factor };
}

/** Of all shapes the one in which the peer comes closest. */
function worstProduct({ samples }: Results, format: string, peer: string, goal: number): Goal | undefined {
  const ratios = SHAPES.flatMap((shape) => {
    const metric = shapeName(shape);
    const of = ratio(samples, series([mariana(format), 1, metric]), series([peer, 1, metric]));
    return of === undefined ? [] : [{ of, metric }];
  });
  const worst = ratios.sort((a, b) => a.of.value - b.of.value)[0];
  return judged(`${format} products against ${peer}, worst shape (${worst?.metric})`, goal, worst?.of);
}

function loadGoal({ samples }: Results, threads: number): Goal | undefined {
  const loads = select(samples, series([INT8, threads, 'load']));
  if (loads.length === 0) return undefined;
  const quiet = loads.filter(isQuiet);
  const valid = quiet.length * 2 >= loads.length;
  const seconds = (valid ? quiet : loads).map(({ value }) => value / 1e3);
  const value = median(seconds);
  return {
    name: `load of int8 in seconds, ${threads} t`,
    goal: 2,
    atLeast: false,
    value,
    range: [Math.min(...seconds), Math.max(...seconds)],
    rounds: loads.length,
    quietRounds: quiet.length,
    verdict: !valid ? 'disturbed' : value <= 2 ? 'met' : 'missed',
  };
}
