/**
 * Brings the texts that the model learns from into the form that `train.json` names: `node prepare.ts <folder>`, where
 * the folder has `tinystories/{train.jsonl,val.jsonl,extra/train-head.txt}` and `books/fairy-tales/*.txt` (see the model
 * card for where they come from). Stories of the head of TinyStories are cut apart, and those that are known already, or
 * are to be judged by, are left out.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A twelfth of what is learned: enough for the model to have met other words than a small child's. */
const TALES = ['Grimms-Fairy-Tales_2591.txt', 'English-Fairy-Tales_7439.txt'];

const source = process.argv[2];
if (source === undefined) throw new Error('say where the texts are: node prepare.ts <folder>');
const data = join(dirname(fileURLToPath(import.meta.url)), 'data');
mkdirSync(join(data, 'fairy-tales'), { recursive: true });

const stories = (file: string) =>
  readFileSync(join(source, 'tinystories', file), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { text: string }).text);

/** What two copies of a story have in common, whatever was done to their marks and spaces. */
const key = (story: string) => story.toLowerCase().replace(/\W+/g, '').slice(0, 100);

const training = stories('train.jsonl');
const known = new Set([...training, ...stories('val.jsonl')].map(key));
const head = readFileSync(join(source, 'tinystories/extra/train-head.txt'), 'utf8');
// Paragraphs are parted by an empty line there, stories by a line's end alone.
for (const piece of head.split(/(?<!\n)\n(?!\n)/)) {
  const story = piece.trim().replace(/\n\n+/g, '\n');
  const isWhole = story.length >= 300 && /^[A-Z]/.test(story) && /[.!?"]$/.test(story) && /^[ -~\n]*$/.test(story);
  if (!isWhole || known.has(key(story))) continue;
  known.add(key(story));
  training.push(story);
}

writeFileSync(join(data, 'stories.jsonl'), training.map((text) => `${JSON.stringify({ text })}\n`).join(''));
copyFileSync(join(source, 'tinystories/val.jsonl'), join(data, 'validation.jsonl'));
for (const tale of TALES) copyFileSync(join(source, 'books/fairy-tales', tale), join(data, 'fairy-tales', tale));
process.stdout.write(`${training.length} stories and ${TALES.length} books of tales in ${data}\n`);
