/** The same model on two backends: one line changes, the numbers do not. */
import { cpu } from '@mariana/backend-cpu';
import { reference } from '@mariana/backend-reference';
import type { Backend } from '@mariana/core';
import { Model } from '@mariana/runtime';

async function nextLogits(backend: Backend) {
  const model = await Model.load('tiny', { backend });
  const session = model.session();
  await session.append([1, 2, 3, 4]);
  return session.nextLogits();
}

const [slow, fast] = [await nextLogits(reference()), await nextLogits(await cpu())];
const furthest = Math.max(...slow.map((logit, i) => Math.abs(logit - fast[i]!)));
console.log(`${slow.length} logits, at most ${furthest < 1e-5 ? '1e-5' : furthest} apart`);
