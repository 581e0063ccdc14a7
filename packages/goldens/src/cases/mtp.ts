/** Multi-token prediction. */
import type { GoldenCheck } from '../check.ts';
import { argmax, expectClose, expectEqual } from '../compare.ts';

export const mtpCases: GoldenCheck[] = [
  {
    name: 'MTP: hidden states and logits of a prompt',
    folders: ['tiny-mtp'],
    async check({ golden, model, backend }) {
      for (const prompt of golden.prompts) {
        using main = await model.forward(await golden.integers(`${prompt}.input_ids`), { logits: 'none' });
        const next = await golden.integers(`${prompt}.mtp_input_ids`);
        using nextIds = backend.upload(next, [next.length]);
        const { hidden, logits } = await model.mtp[0]!.forward({ nextIds, hidden: main.hidden });
        using _hidden = hidden;
        using _logits = logits;
        expectClose(`${prompt}.mtp_hidden`, await hidden.floats(), await golden.floats(`${prompt}.mtp_hidden`));
        expectClose(`${prompt}.mtp_logits`, await logits.floats(), await golden.floats(`${prompt}.mtp_logits`));
      }
    },
  },
  {
    name: 'MTP: drafts while decoding greedily',
    folders: ['tiny-mtp'],
    async check({ golden, model, backend }) {
      const { vocabSize } = golden.config;
      for (const prompt of golden.prompts) {
        const ids = await golden.integers(`${prompt}.input_ids`);
        const sequence = [...ids, ...(await golden.integers(`${prompt}.greedy_tokens`))];
        using main = await model.forward(sequence.slice(0, -1), { logits: 'none' });
        using nextIds = backend.upload(Int32Array.from(sequence.slice(1)), [sequence.length - 1]);
        const { hidden, logits } = await model.mtp[0]!.forward({ nextIds, hidden: main.hidden });
        using _hidden = hidden;
        using _logits = logits;
        const values = await logits.floats();
        const expected = await golden.integers(`${prompt}.mtp_draft_tokens`);
        const drafts = Array.from(expected, (_, i) => argmax(values, ids.length - 1 + i, vocabSize));
        expectEqual(`${prompt}.mtp_draft_tokens`, drafts, expected);
      }
    },
  },
];
