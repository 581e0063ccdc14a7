/** `mariana chat` with messages piped in: what is asked, what is kept, and how it ends. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@mariana/tokenizer';
import { beforeAll, expect, test } from 'vitest';
import { batch, finish, json, mariana, type Outcome, start } from './program.ts';
import { scratchFolder } from './scratch.ts';

const model = join(scratchFolder(), 'model');
const CHAT = ['chat', '--model', model, '--backend', 'reference', '--seed', '1', '--max-tokens', '6'];

beforeAll(async () => {
  const [made] = await batch([['init', '--preset', 'small', '--out', model, '--tokenizer', '--json']]);
  json(made!);
}, 120_000);

const lines = (stdout: string) =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

test('each line is answered, by the chat template, and what was read is kept', async () => {
  const { code, stdout, stderr } = await mariana([...CHAT, '--json', '--system', 'Be brief.'], 'Hello\n\nAnd then?\n');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const [first, second, ...others] = lines(stdout);
  expect(others).toEqual([]);
  const tokenizer = Tokenizer.fromFiles({
    tokenizerJson: readFileSync(join(model, 'tokenizer.json'), 'utf8'),
    tokenizerConfig: readFileSync(join(model, 'tokenizer_config.json'), 'utf8'),
  });
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Hello' },
  ];
  const asked = tokenizer.encodeChat(messages, { addGenerationPrompt: true });
  expect(first).toMatchObject({ role: 'assistant', promptTokens: asked.length, cachedTokens: 0 });
  expect(first.ids).toHaveLength(6);
  expect(first.content).toBe(tokenizer.decode(first.ids.filter((id: number) => id < tokenizer.vocabSize)));
  const more = [...messages, { role: 'assistant', content: first.content }, { role: 'user', content: 'And then?' }];
  expect(second.promptTokens).toBe(tokenizer.encodeChat(more, { addGenerationPrompt: true }).length);
  expect(second.cachedTokens).toBeGreaterThanOrEqual(asked.length);
});

test('/reset forgets, so that the same question gets the same answer; /exit ends before the rest', async () => {
  const { code, stdout } = await mariana([...CHAT, '--json'], 'Hello\nAgain\n/reset\nHello\n/exit\nNever\n');
  expect(code).toBe(0);
  const [first, second, third, ...others] = lines(stdout);
  expect(others).toEqual([]);
  expect(second.ids).not.toEqual(first.ids);
  expect(third.ids).toEqual(first.ids);
  expect(third.promptTokens).toBe(first.promptTokens);
});

test('without --json answers are text', async () => {
  const asJson = await mariana([...CHAT, '--json'], 'Hello\n');
  const { code, stdout } = await mariana(CHAT, 'Hello\n');
  expect(code).toBe(0);
  expect(stdout).toBe(`${lines(asJson.stdout)[0].content}\n`);
});

test('--speculate changes nothing about the answers', async () => {
  const drafting = join(model, '..', 'drafting');
  json((await batch([['init', '--preset', 'tiny-mtp', '--out', drafting, '--tokenizer', '--json']]))[0]!);
  const run = ['chat', '--model', drafting, '--temperature', '0', '--max-tokens', '8', '--json'];
  const ids = (outcome: Outcome) => lines(outcome.stdout).map((line) => line.ids);
  const plain = await mariana(run, 'Hello\nAgain\n');
  expect(ids(await mariana([...run, '--speculate'], 'Hello\nAgain\n'))).toEqual(ids(plain));
});

test('a message beyond the context, or an unknown command, is bad input', async () => {
  const long = await mariana([...CHAT, '--json', '--context', '20'], `${'x'.repeat(40)}\n`);
  expect(long).toMatchObject({ code: 2, stderr: expect.stringMatching(/^error \[CONTEXT_EXCEEDED\]: [^\n]+\n$/) });
  const command = await mariana(CHAT, '/restart\n');
  expect(command).toMatchObject({ code: 2, stderr: expect.stringMatching(/^error \[USAGE\]: .*\/restart.*\/reset/) });
});

test('ctrl-C stops an answer, not the program', async () => {
  const child = start([
    'chat',
    '--model',
    model,
    '--backend',
    'reference',
    '--max-tokens',
    '4000',
    '--temperature',
    '2',
  ]);
  const ended = once(child, 'close');
  let stdout = '';
  child.stdout!.setEncoding('utf8').on('data', (part) => {
    stdout += part;
  });
  child.stdin!.write('Hello\n');
  await once(child.stdout!, 'data');
  child.kill('SIGINT');
  child.stdin!.write('/exit\n');
  expect(await ended).toEqual([0, null]);
  expect(stdout.endsWith('\n')).toBe(true);
});

test('at the prompt ctrl-C ends the program, and so does the end of input', async () => {
  const child = start([...CHAT, '--json']);
  const ended = once(child, 'close');
  child.stdin!.write('Hello\n');
  await once(child.stdout!, 'data'); // the answer is complete
  const pressing = setInterval(() => child.kill('SIGINT'), 100);
  expect(await ended).toEqual([0, null]);
  clearInterval(pressing);
  expect((await finish(start(CHAT), '')).code).toBe(0);
});
