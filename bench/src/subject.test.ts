import { expect, test } from 'vitest';
import { machine } from './machine.ts';
import { Results } from './results.ts';
import { runGroup, type Spec } from './run-group.ts';
import { Subject } from './subject.ts';

/** A program that greets and then answers every request with the same. */
const program = (answer: string) => `
  console.log('a library says hello');
  console.log(JSON.stringify({ loadMs: 5, about: 'test' }));
  process.stdin.on('data', () => { ${answer} });
  process.stdin.on('end', () => process.exit(0));
`;
const command = (code: string, name = 'subject') => ({
  name,
  threads: 1,
  command: process.execPath,
  args: ['--eval', code],
});

test('asks a child, and takes no notice of what else it prints', async () => {
  const subject = await Subject.start(command(program(`console.log('noise'); console.log('{"ms": 7}')`)));
  expect(subject.greeting).toEqual({ loadMs: 5, about: 'test' });
  expect(await subject.ask({ do: 'it' })).toEqual({ ms: 7 });
  await subject.stop();
});

test('a child that ends says why', async () => {
  await expect(Subject.start(command(`console.error('no such model'); process.exit(3)`))).rejects.toThrow(
    'subject ended without an answer: no such model',
  );
  await expect(Subject.start({ ...command(''), command: 'no-such-program' })).rejects.toThrow(/ENOENT/);
  const subject = await Subject.start(command(program(`throw new Error('out of memory')`)));
  await expect(subject.ask({ do: 'it' })).rejects.toThrow(/out of memory/);
});

test('a group measures all subjects in each round, and goes on without one that fails', async () => {
  const probe = { metric: 'speed', request: { do: 'it' }, value: ({ ms }: { ms: number }) => 1 / ms };
  const spec = (name: string, answer: string): Spec => ({ ...command(program(answer), name), probes: [probe] });
  const results = new Results(machine());
  const specs = [
    spec('good', `console.log('{"ms": 0.5, "otherCores": 0}')`),
    spec('bad', `console.error('broken'); process.exit(1)`),
  ];
  await runGroup(results, specs, { name: 'test', rounds: 2 });
  expect(results.samples.map(({ subject, round, value }) => [subject, round, value])).toEqual([
    ['good', 0, 2],
    ['good', 1, 2],
  ]);
  expect(results.missing).toEqual([{ subject: 'bad, 1 thread, speed', reason: 'bad ended without an answer: broken' }]);
  expect(results.surroundings.map(({ group }) => group)).toEqual(['test']);
});
