/** Frequencies, tables and softmax scales of YaRN, those of the real models among them. */
import { preset, ropeParameters, softmaxScale } from '@mariana/core';
import { RotaryEmbedding } from '@mariana/layers';
import type { GoldenCheck } from '../check.ts';
import { expectClose } from '../compare.ts';

/** Two roundings of float32 in a frequency; the power function of the original is not correctly rounded either. */
const TWO_ULP = { absolute: 0, relative: 2 ** -22 };

export const rotaryCases: GoldenCheck[] = [
  {
    name: 'YaRN frequencies and softmax scale',
    folders: ['tiny-yarn'],
    async check({ golden }) {
      const { inverseFrequencies } = new RotaryEmbedding(ropeParameters(golden.config));
      expectClose('inv_freq', inverseFrequencies, await golden.floats('inv_freq'), TWO_ULP);
      expectClose('softmax_scale', [softmaxScale(golden.config)], await golden.floats('softmax_scale'), TWO_ULP);
    },
  },
  {
    name: 'tables of the real DeepSeek-V3, up to position 163839',
    folders: ['tiny-yarn'],
    async check({ golden, backend }) {
      const config = preset('deepseek-v3');
      const rotary = new RotaryEmbedding(ropeParameters(config));
      expectClose('real_v3.inv_freq', rotary.inverseFrequencies, await golden.floats('real_v3.inv_freq'), TWO_ULP);
      const half = rotary.inverseFrequencies.length;
      const [cos, sin] = [await golden.floats('real_v3.cos'), await golden.floats('real_v3.sin')];
      const positions = await golden.integers('real_v3.positions');
      for (const [i, position] of positions.entries()) {
        using tables = rotary.tables(backend, position, 1);
        const row = (table: Float32Array) => table.subarray(i * half, (i + 1) * half);
        const tolerance = { absolute: 2e-6, relative: 0 };
        expectClose(`real_v3.cos at ${position}`, await tables.cos.floats(), row(cos), tolerance);
        expectClose(`real_v3.sin at ${position}`, await tables.sin.floats(), row(sin), tolerance);
      }
      expectClose(
        'real_v3.softmax_scale',
        [softmaxScale(config)],
        await golden.floats('real_v3.softmax_scale'),
        TWO_ULP,
      );
      const lite = softmaxScale(preset('deepseek-v2-lite'));
      expectClose('real_v2lite.softmax_scale', [lite], await golden.floats('real_v2lite.softmax_scale'), TWO_ULP);
    },
  },
  {
    name: 'mscale apart from mscale_all_dim',
    folders: ['tiny-yarn-mscale'],
    async check({ golden }) {
      const { attentionFactor } = ropeParameters(golden.config);
      expectClose('cos_sin_scale', [attentionFactor], await golden.floats('cos_sin_scale'), TWO_ULP);
      expectClose('softmax_scale', [softmaxScale(golden.config)], await golden.floats('softmax_scale'), TWO_ULP);
    },
  },
];
