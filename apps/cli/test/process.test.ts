/** The program as a process: help, versions, pipes that close, and ctrl-C. */
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fixturePath } from '@mariana/goldens/node';
import { expect, test } from 'vitest';
import manifest from '../package.json' with { type: 'json' };
import { batch, finish, mariana, start } from './program.ts';
import { scratchFolder } from './scratch.ts';

const scratch = scratchFolder();
const LONG = ['generate', '--model', fixturePath('tiny-dense-moe'), '--ids', '1', '--max-tokens', '4000'];

test('help: every command and every option', async () => {
  const commands = ['generate', 'chat', 'score', 'inspect', 'init', 'train'];
  const [help, ...each] = await batch([['--help'], ...commands.map((command) => [command, '--help'])]);
  for (const command of commands) expect(help!.stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
  const flags: Record<string, string[]> = {
    generate: [
      '--model',
      '--prompt',
      '--ids',
      '--max-tokens',
      '--temperature',
      '--backend',
      '--json',
      '--no-ignore-eos',
    ],
    chat: ['--model', '--system', '--json'],
    score: ['--model', '--text', '--file', '--ids', '--json', '--logits', '--mtp'],
    inspect: ['--json', 'config.json', 'preset'],
    train: [
      '--data',
      '--steps',
      '--precision',
      '--balance',
      '--mtp-weight',
      '--resume',
      '--checkpoint-every',
      '--json',
    ],
    init: ['--preset', '--seed', '--dtype', '--out', '--tokenizer', '--max-shard-size', '--force'],
  };
  for (const [i, command] of commands.entries()) {
    expect(each[i]).toMatchObject({ code: 0, stderr: '' });
    for (const flag of flags[command]!) expect(each[i]!.stdout, command).toContain(flag);
    for (const line of each[i]!.stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  }
  expect(each[0]!.stdout).toMatch(/exactly --max-tokens ids\s+come out/);
});

test('the version is that of the package', async () => {
  expect(await mariana(['--version'])).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: '' });
});

test('called without a command it shows what there is, as an error', async () => {
  const { code, stdout, stderr } = await mariana([]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain('Usage: mariana');
});

test('bad input ends the process with code 2, and one line', async () => {
  const { code, stdout, stderr } = await mariana(['generate', '--model', scratch, '--ids', '1']);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/^error \[FILE_NOT_FOUND\]: [^\n]+config\.json[^\n]+\n$/);
});

test('a reader that has enough ends it quietly', async () => {
  const child = start([...LONG, '--quiet']);
  const outcome = finish(child);
  await once(child.stdout!, 'data');
  child.stdout!.destroy();
  expect(await outcome).toMatchObject({ code: 0, stderr: '' });
});

test.each(['cpu', 'reference'])('ctrl-C ends a generation at once, on backend %s', async (backend) => {
  const child = start([...LONG, '--backend', backend]);
  const outcome = finish(child);
  await once(child.stdout!, 'data');
  child.kill('SIGINT');
  const { code, stdout, stderr } = await outcome;
  expect({ code, stderr }).toEqual({ code: 130, stderr: 'interrupted\n' });
  expect(stdout.split(',').length).toBeLessThan(3000);
});

test('ctrl-C with --json leaves standard output empty, not half an object', async () => {
  const child = start([...LONG, '--backend', 'reference', '--json']);
  const outcome = finish(child);
  setTimeout(() => child.kill('SIGINT'), 3000);
  expect(await outcome).toMatchObject({ code: 130, stdout: '' });
});

test('ctrl-C while a checkpoint is written leaves nothing of it', async () => {
  const out = join(scratch, 'made', 'here');
  const child = start(['init', '--preset', 'bench-1b', '--out', out]);
  const outcome = finish(child);
  await expect.poll(() => existsSync(out) && readdirSync(out).length > 0, { timeout: 60_000 }).toBe(true);
  child.kill('SIGINT');
  expect((await outcome).code).toBe(130);
  expect(existsSync(join(scratch, 'made'))).toBe(false);
});
