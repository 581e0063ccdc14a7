/**
 * How long the page's main thread is ever busy at a stretch while a text is generated or a model trained, and what drawing
 * costs the model (`pnpm --filter @mariana/web run bench:long-tasks`). The page is the one that visitors get, in a real
 * Chromium without a window. Each round visits every view with the same seed, so that the views write the same text; the
 * speed beside which drawing is held is that of the same round with another place shown.
 *
 * Times are those of a clock, which runs on while the processor does something else. So a second pass is traced, and gives
 * the processor time of each task: what is over 50 ms there is the page's own doing.
 *
 *   --rounds N   rounds, default 5
 *   --tokens N   tokens of a text, default 400; 0 leaves texts out
 *   --steps N    steps of training, default 60; 0 leaves training out
 *   --explain    print what the longest tasks did
 *
 * MARIANA_WEB_MODEL names another model than the default one.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Page } from 'playwright';
import buildSite, { SITE } from '../test/support/build-site.ts';
import { serveSite } from '../test/support/site.ts';
import { launch, modelLoaded, type Visit, visit } from '../test/support/visit.ts';
import { type Task, traced } from './trace.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    tokens: { type: 'string', default: '400' },
    steps: { type: 'string', default: '60' },
    explain: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const steps = Number(values.steps);

/** What one run of a view gave. */
interface Run {
  readonly tokensPerSecond: number;
  /** Durations of its long tasks in milliseconds. */
  readonly tasks: readonly number[];
}

/** Views of a text, with the place that is shown; the first is what the others are held beside. */
const VIEWS = [
  { name: 'hidden', hash: '#model-card', inside: false },
  { name: 'Generate', hash: '#generate', inside: false },
  { name: 'watched, hidden', hash: '#model-card', inside: true },
  { name: 'Inside, top', hash: '#inside', inside: true, scroll: 0 },
  { name: 'Inside, middle', hash: '#inside', inside: true, scroll: 0.5 },
  { name: 'Inside, end', hash: '#inside', inside: true, scroll: 1 },
] as const;

/** What each table says of a view: its name, then what `figures` and `processor` give. */
const COLUMNS = ['view', 'tokens/s', 'longest task', 'over 50 ms', 'longest by processor time', 'over 50 ms by it'];

/** Runs that are traced for processor times. */
const TRACED = 2;

process.env.MARIANA_WEB_MODEL ??= fileURLToPath(new URL('../../../packages/model-stories/model', import.meta.url));
const remove = await buildSite();
const site = await serveSite(SITE);
const browser = await launch();
try {
  if (Number(values.tokens) > 0) await texts();
  if (steps > 0) await training();
} finally {
  await browser.close();
  await site.close();
  remove();
}

async function texts(): Promise<void> {
  const runs = new Map<string, Run[]>();
  const cpu = new Map<string, readonly Task[]>();
  /** Share of one processor that goes into the page, in traced runs. */
  const shares = new Map<string, number>();
  // One visitor has never looked inside, the other has; the rounds take turns between them.
  await using plain = await reader(false);
  await using curious = await reader(true);
  const pageOf = (view: (typeof VIEWS)[number]) => (view.inside ? curious : plain).page;
  for (let round = -1; round < rounds; round++) {
    // Every other round backwards: whatever slowly changes takes no side.
    for (const view of round % 2 === 0 ? VIEWS : VIEWS.toReversed()) {
      const run = await text(pageOf(view), view, round + 2);
      // The first round fetches code and warms up.
      if (round >= 0) runs.set(view.name, [...(runs.get(view.name) ?? []), run]);
    }
  }
  for (const view of VIEWS) {
    const page = pageOf(view);
    const tasks: Task[] = [];
    let [processor, milliseconds] = [0, 0];
    for (let seed = 1; seed <= TRACED; seed++) {
      await prepare(page, view, seed);
      const trace = await traced(browser, page, async () => {
        const begun = performance.now();
        await write(page);
        milliseconds += performance.now() - begun;
      });
      tasks.push(...trace.tasks);
      processor += trace.processor;
    }
    shares.set(view.name, processor / milliseconds);
    cpu.set(view.name, tasks);
  }
  const first = await firstLooks();
  cpu.set('first look inside', first);
  const rows = VIEWS.map(({ name, inside }) => {
    const own = runs.get(name)!;
    const beside = [VIEWS[0].name, ...(inside ? [VIEWS[2].name] : [])].map((base) => slowdown(runs.get(base)!, own));
    return [
      name,
      ...figures(own),
      ...processor(cpu.get(name)!),
      percent(shares.get(name)!),
      ...(beside.length === 1 ? [...beside, ''] : beside),
    ];
  });
  rows.push(['first look inside, while it writes', '', '', '', ...processor(first), '', '', '']);
  print(
    `Texts of ${values.tokens} tokens at most, ${rounds} rounds`,
    [...COLUMNS, 'page, of one processor', 'slower than hidden', 'than watched and hidden'],
    rows,
  );
  explain(cpu);
}

/** Inside is opened for the first time while a text is being written: its code comes, and all pictures at once. */
async function firstLooks(): Promise<Task[]> {
  const tasks: Task[] = [];
  for (let seed = 1; seed <= TRACED; seed++) {
    await using visitor = await reader(false);
    const { page } = visitor;
    await prepare(page, { hash: '#generate' }, seed);
    const look = async () => {
      const done = write(page);
      await page.locator('.token:not(.token-given)').nth(5).waitFor();
      await page.evaluate(() => {
        location.hash = '#inside';
      });
      await done;
      await page.getByRole('heading', { name: 'Attention', exact: true }).waitFor();
    };
    tasks.push(...(await traced(browser, page, look)).tasks);
  }
  return tasks;
}

async function reader(looksInside: boolean): Promise<Visit> {
  const visitor = await visit(browser, site);
  const { page } = visitor;
  await watchTasks(page);
  await modelLoaded(page);
  await page.getByLabel('Tokens at most').fill(values.tokens);
  if (looksInside) await go(page, '#inside');
  return visitor;
}

interface View {
  readonly hash: string;
  readonly scroll?: number;
}

async function text(page: Page, view: View, seed: number): Promise<Run> {
  await prepare(page, view, seed);
  return write(page);
}

async function prepare(page: Page, view: View, seed: number): Promise<void> {
  await go(page, '#generate');
  await page.getByLabel('Seed').fill(String(seed));
  await go(page, view.hash);
  if (view.scroll !== undefined) {
    await page.evaluate((share) => scrollTo(0, share * document.body.scrollHeight), view.scroll);
  }
  await page.waitForTimeout(300);
}

async function write(page: Page): Promise<Run> {
  await page.evaluate(() => globalThis.mariana.begin());
  await page.evaluate(async () => {
    const status = document.querySelector('.generate [role=status]')!;
    const ended = new Promise<void>((resolve) => {
      const observer = new MutationObserver(() => {
        if (!/ended/.test(status.textContent)) return;
        observer.disconnect();
        resolve();
      });
      // Its old end goes away first: that is no match.
      observer.observe(status, { childList: true, characterData: true, subtree: true });
    });
    document.querySelector<HTMLButtonElement>('.generate button.primary')!.click();
    await ended;
  });
  const tasks = await page.evaluate(() => globalThis.mariana.end());
  return { tasks, tokensPerSecond: await speed(page) };
}

async function training(): Promise<void> {
  const runs = new Map<string, Run[]>();
  const cpu = new Map<string, readonly Task[]>();
  const views = ['hidden', 'Train'];
  for (let round = -1; round <= rounds; round++) {
    for (const view of round % 2 === 0 ? views : views.toReversed()) {
      // What is shown while the training is hidden is drawn before it.
      await using visitor = await visit(browser, site, { hash: '#model-card' });
      const { page } = visitor;
      await watchTasks(page);
      await page.locator('.chart svg').nth(3).waitFor();
      await go(page, `#train?size=small&steps=${steps}`);
      await page.getByRole('button', { name: 'Start training' }).waitFor();
      const learn = async () => {
        await page.getByRole('button', { name: 'Start training' }).click();
        await page.locator('.standing').waitFor();
        if (view === 'hidden') await go(page, '#model-card');
        await page.evaluate(() => globalThis.mariana.begin());
        await page
          .getByRole('heading', { name: 'Trained', exact: true, includeHidden: true })
          .waitFor({ state: 'attached', timeout: 600_000 });
      };
      if (round === rounds) {
        cpu.set(view, (await traced(browser, page, learn)).tasks);
        continue;
      }
      await learn();
      const tasks = await page.evaluate(() => globalThis.mariana.end());
      await go(page, '#train');
      const said = await page.locator('.standing-figures').textContent();
      const tokensPerSecond = Number(/Speed([\d,]+) tokens/.exec(said ?? '')![1]!.replaceAll(',', ''));
      if (round >= 0) runs.set(view, [...(runs.get(view) ?? []), { tasks, tokensPerSecond }]);
    }
  }
  print(
    `Training of ${steps} steps, ${rounds} rounds`,
    [...COLUMNS, 'slower than hidden'],
    views.map((name) => [
      name,
      ...figures(runs.get(name)!),
      ...processor(cpu.get(name)!),
      slowdown(runs.get('hidden')!, runs.get(name)!),
    ]),
  );
  explain(cpu);
}

async function go(page: Page, hash: string): Promise<void> {
  await page.evaluate((to) => {
    location.hash = to;
  }, hash);
  await page.waitForTimeout(200);
}

async function speed(page: Page): Promise<number> {
  const said = (await page.locator('.model-status').textContent())!;
  return Number(/([\d.,]+) tokens\/s/.exec(said)![1]!.replaceAll(',', ''));
}

interface Watch {
  begin(): void;
  end(): readonly number[];
}
declare global {
  var mariana: Watch;
}

/** Notes tasks of more than 50 ms, as the browser reports them. */
async function watchTasks(page: Page): Promise<void> {
  await page.evaluate(() => {
    let since = 0;
    const durations: number[] = [];
    const take = (entries: PerformanceEntryList) => {
      for (const { startTime, duration } of entries) if (startTime >= since) durations.push(duration);
    };
    const observer = new PerformanceObserver((list) => take(list.getEntries()));
    observer.observe({ type: 'longtask' });
    globalThis.mariana = {
      begin() {
        observer.takeRecords();
        durations.length = 0;
        since = performance.now();
      },
      end() {
        take(observer.takeRecords());
        return [...durations];
      },
    };
  });
}

function figures(runs: readonly Run[]): string[] {
  const tasks = runs.flatMap((run) => run.tasks);
  const longest = tasks.length === 0 ? 'none over 50 ms' : ms(Math.max(...tasks));
  return [String(Math.round(median(runs.map((run) => run.tokensPerSecond)))), longest, String(tasks.length)];
}

/** Median over rounds of how much slower a view is in the same round. */
function slowdown(base: readonly Run[], own: readonly Run[]): string {
  const ratios = own.map((run, round) => base[round]!.tokensPerSecond / run.tokensPerSecond - 1);
  return percent(median(ratios));
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function ms(value: number): string {
  return `${Math.round(value)} ms`;
}

function print(title: string, heads: readonly string[], rows: readonly (readonly string[])[]): void {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  console.log(`\n${title}\n\n${line(heads)}\n${line(heads.map(() => '---'))}\n${rows.map(line).join('\n')}`);
}

function processor(tasks: readonly Task[]): string[] {
  const times = tasks.map(({ milliseconds }) => milliseconds);
  return [ms(times.reduce((most, time) => Math.max(most, time), 0)), String(times.filter((time) => time > 50).length)];
}

/** What the longest tasks of each view did. */
function explain(cpu: ReadonlyMap<string, readonly Task[]>): void {
  if (!values.explain) return;
  for (const [view, tasks] of cpu) {
    for (const { milliseconds, parts } of tasks.toSorted((a, b) => b.milliseconds - a.milliseconds).slice(0, 3)) {
      console.log(`${view}: ${ms(milliseconds)}: ${parts.slice(0, 6).join('; ')}`);
    }
  }
}
