/**
 * What `npm start` shows: the figures of DeepSeek-V3, then a small model of the same architecture telling a story. Every
 * step is a command that can be typed again, and is shown as such.
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const PROGRAM = join(ROOT, 'apps', 'cli', 'bin', 'mariana.js');
const PROMPT = 'Once upon a time';

// The toolchain that scripts/bootstrap.mjs brought is on the path of this script, not on that of the reader.
const isBrought = (process.env.PATH ?? '').includes(join(ROOT, '.cache', 'toolchain'));
const MARIANA = isBrought ? 'npm run --silent pnpm -- exec mariana' : 'pnpm exec mariana';
const isPlain = !process.stdout.isTTY || process.env.NO_COLOR;
const dim = (text) => (isPlain ? text : `\x1b[2m${text}\x1b[22m`);
const bold = (text) => (isPlain ? text : `\x1b[1m${text}\x1b[22m`);

say(bold('Mariana'), 'runs language models of the DeepSeek-V3 family, in TypeScript.');

say();
say('DeepSeek-V3 itself, from its config alone:');
const giant = JSON.parse(mariana(['inspect', 'deepseek-v3'], ['--json']));
say(
  `  ${billions(giant.parameters.total)} parameters,`,
  `${billions(giant.parameters.active)} of them at work for each token`,
);
say(
  `  ${exact(giant.kvBytesPerToken.latent)} bytes of cache a token,`,
  `where plain attention would take ${exact(giant.kvBytesPerToken.multiHead)}`,
);

say();
say("A small one of the same architecture comes along; `mariana train` taught it children's stories:");
const small = JSON.parse(mariana(['inspect', 'stories'], ['--json']));
say(
  `  ${(small.parameters.total / 1e6).toFixed(1)} million parameters,`,
  `${(small.parameters.active / 1e6).toFixed(1)} of them at work for each token,`,
  `${megabytes(small.checkpoint.bytes)} on disk in FP8`,
);

say();
say('It tells one, the same each time for the same seed:');
show(['generate', '--prompt', PROMPT, '--max-tokens', '220', '--temperature', '0.7', '--seed', '7', '--echo']);

say();
say('Now you:');
for (const [command, what] of [
  [`generate --model FOLDER --prompt "${PROMPT}"`, 'any checkpoint of the family, as Hugging Face ships it'],
  ['generate --prompt "One day, a dragon" --temperature 0.7', 'another story'],
  [`score --text "${PROMPT}"`, 'how probable a text is'],
  ['train --data FOLDER --steps 500 --out ./model', 'a model of your own'],
  ['inspect deepseek-v2-lite', 'what a model takes to run; also of a folder'],
  ['--help', ''],
]) {
  say(`  ${MARIANA} ${command}`);
  if (what !== '') say(dim(`      ${what}`));
}
say('One layer alone, or a backend of your own: README.md.');

function say(...parts) {
  console.log(parts.join(' '));
}

/** Shows a command and runs it; returns what it printed. `quietly` are arguments that are not worth showing. */
function mariana(args, quietly) {
  echo(args);
  return run([...args, ...quietly], 'pipe');
}

/** Shows a command and runs it on this terminal. */
function show(args) {
  echo(args);
  run(args, 'inherit');
}

/** A command as it can be typed, over two lines if it is long. */
function echo(args) {
  let line = `  $ ${MARIANA}`;
  for (const arg of args.map((text) => (text.includes(' ') ? `"${text}"` : text))) {
    if (arg.startsWith('--') && line.length + arg.length > 62) {
      say(dim(`${line} \\`));
      line = '     ';
    }
    line += ` ${arg}`;
  }
  say(dim(line));
}

function run(args, stdout) {
  const result = spawnSync(process.execPath, [PROGRAM, ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', stdout, 'inherit'],
  });
  if (result.status !== 0) process.exit(result.status ?? 130);
  return result.stdout;
}

function billions(value) {
  return `${(value / 1e9).toFixed(1)} billion`;
}

function megabytes(value) {
  return `${(value / 1e6).toFixed(1)} MB`;
}

function exact(value) {
  return value.toLocaleString('en-US');
}
