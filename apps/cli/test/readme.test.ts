/** The commands of the README run, one after the other in one folder, and print what it shows. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { scratchFolder } from './scratch.ts';

const CLI = fileURLToPath(new URL('..', import.meta.url));
const folder = scratchFolder();

/** Commands of the console blocks, each with the lines below it. */
function commands(readme: string): { command: string; shown: string }[] {
  const blocks = Array.from(readme.matchAll(/^```console\n(.*?)^```$/gms), ([, block]) => block!);
  return blocks.flatMap((block) =>
    Array.from(block.matchAll(/^\$ (.*)\n((?:(?!\$ ).*\n)*)/gm), ([, command, shown]) => ({
      command: command!,
      shown: shown!,
    })),
  );
}

/** Figures that depend on the order of a sum: those with four decimals. */
const FIGURE = /-?\d+\.\d{4}\b/g;

const figures = (text: string) => Array.from(text.matchAll(FIGURE), ([figure]) => Number(figure));

/** A text without what a stopwatch shows, and without figures. */
function comparable(text: string): string {
  return text
    .replaceAll(/\d+(\.\d+)? m?s$/gm, 'TIME')
    .replaceAll(/[\d,]+ tokens\/s/g, 'RATE')
    .replaceAll(/"(loadMs|\w+PerSecond)":[\d.]+/g, '"$1":TIME')
    .replaceAll(/"content":"[^"]*"/g, '"content":TEXT')
    .replaceAll(FIGURE, 'FIGURE');
}

const all = commands(readFileSync(join(CLI, 'README.md'), 'utf8'));

test('there are commands of every kind', () => {
  for (const name of ['generate', 'chat', 'score', 'inspect', 'init', 'convert', 'train']) {
    expect(all.some(({ command }) => command.includes(`mariana ${name}`))).toBe(true);
  }
});

test('they print what is shown', () => {
  const mariana = `mariana() { '${process.execPath}' --conditions=@mariana/source '${CLI}/src/main.ts' "$@"; }`;
  for (const { command, shown } of all) {
    const { status, stdout, stderr } = spawnSync('sh', ['-c', `${mariana}\n${command}`], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 100_000,
    });
    expect({ command, status, stderr: status === 0 ? '' : stderr }).toEqual({ command, status: 0, stderr: '' });
    if (shown === '') continue;
    expect(comparable(stdout), command).toBe(comparable(shown));
    for (const [i, figure] of figures(shown).entries()) expect(figures(stdout)[i]! / figure).toBeCloseTo(1, 3);
  }
}, 120_000);
