import { countParameters, preset, presetNames } from '@mariana/core';
import { describe, expect, it } from 'vitest';
import { cardOf, contextLengths } from '../../src/places/model-card/card.ts';
import {
  cacheFinding,
  devices,
  parametersFinding,
  shapeFinding,
  trainingAssumptions,
  trainingFinding,
  weightsFinding,
} from '../../src/places/model-card/findings.ts';
import { FIRST_VIEW, viewOfPreset, withChange } from '../../src/places/model-card/view.ts';

describe('the card of DeepSeek-V3', () => {
  const card = cardOf(FIRST_VIEW);

  it('says what the paper says', () => {
    expect(shapeFinding(card)).toBe(
      '61 layers, 58 of them with 256 experts, of which a token takes 8, and 1 shared; ' +
        '128 heads of attention over a latent of 512 numbers.',
    );
    expect(parametersFinding(card)).toBe(
      '671 B parameters, and a token uses 36.6 B of them (5.46 %): the routed experts hold 97.4 % of all, ' +
        'and 8 of 256 work for a token.',
    );
    expect(weightsFinding(card)).toBe(
      'FP8 takes 689 GB, 50.3 % of the 1.37 TB of BF16, and fills 9 H800s of 80 GB; ' +
        'INT4 takes 433 GB, and fills 6 H800s of 80 GB.',
    );
    expect(cacheFinding(card)).toBe(
      'At 131,072 tokens the latent cache takes 9.21 GB; grouped attention with 8 groups would take 40.9 GB, ' +
        '4.44 times as much, and plain attention 655 GB, 71.1 times as much.',
    );
    expect(trainingFinding(card)).toBe(
      '14.8 T tokens at 261 GFLOP each are 3.86 YFLOP, done in 2.66 M H800 hours: 40.7 % of the BF16 peak. ' +
        'With context extension and post-training the report counts 2.788 M.',
    );
  });

  it('says what the hours rest on', () => {
    expect(trainingAssumptions(card).join('\n')).toMatch(/989\.4 TFLOP\/s.*40\.7 %.*arXiv 2412\.19437/s);
  });

  it('draws the cache from 1 K to 128 K', () => {
    expect(contextLengths()).toEqual([1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072]);
    expect(card.cache.series.map(({ points }) => points.at(-1))).toEqual([
      [131_072, 131_072 * 70_272],
      [131_072, 131_072 * 61 * 8 * 320 * 2],
      [131_072, 131_072 * 4_997_120],
    ]);
  });

  it('compares it with what other published models would take', () => {
    expect(card.training.rows.map(({ name, isThis }) => [name, isThis])).toEqual([
      ['deepseek-v3', true],
      ['kimi-k2', false],
      ['moonlight-16b-a3b', false],
      ['deepseek-v2-lite', false],
    ]);
  });
});

describe('a card', () => {
  it.each(presetNames)('of %s has components that add up to what core counts', (name) => {
    const { components, config } = cardOf(viewOfPreset(name));
    const { total, active, mtp } = countParameters(config);
    const sum = (field: 'total' | 'active') => components.reduce((all, one) => all + one[field], 0);
    expect(sum('total')).toBe(total + (mtp?.own ?? 0));
    expect(sum('active')).toBeCloseTo(active + (mtp?.active ?? 0), 0);
  });

  it('of a changed model says what the change does', () => {
    const card = cardOf(withChange(FIRST_VIEW, 'kv_lora_rank', 1024));
    expect(card.title).toBe('deepseek-v3, changed');
    expect(cacheFinding(card)).toContain('takes 17.4 GB');
    expect(card.training.published).toBeNull();
    expect(card.training.rows).toHaveLength(5);
    expect(trainingFinding(card)).toMatch(/% of what DeepSeek-V3's pre-training took\.$/);
  });

  it('of a model of few heads compares with as many groups as it has heads', () => {
    const card = cardOf(viewOfPreset('tiny'));
    expect(card.cache.groups).toBe(4);
    // The latent of so small a model saves less: the sentence must still be right.
    expect(cacheFinding(card)).toBe(
      'At 131,072 tokens the latent cache takes 31.5 MB; grouped attention with 4 groups would take 126 MB, ' +
        '4 times as much, and plain attention 126 MB, 4 times as much.',
    );
    expect(weightsFinding(card)).toMatch(/fits one H800/);
  });

  it('of a latent wider than a group says so', () => {
    const card = cardOf({ ...FIRST_VIEW, groups: 1 });
    expect(cacheFinding(card)).toMatch(/grouped attention with 1 group would take 5\.12 GB, 55\.6 % of that/);
  });

  it('of a model without experts, and of tokens that were chosen', () => {
    const dense = cardOf({ ...withChange(FIRST_VIEW, 'n_routed_experts', null), tokens: 1e12 });
    expect(shapeFinding(dense)).toMatch(/none with experts/);
    expect(parametersFinding(dense)).toMatch(/no experts to choose from/);
    expect(dense.components.map(({ name }) => name)).not.toContain('Routed experts');
    expect(dense.training).toMatchObject({ tokens: 1e12, tokensFrom: 'chosen' });
  });

  it('takes 20 tokens for each active parameter where nothing was published', () => {
    const card = cardOf(viewOfPreset('small'));
    expect(card.training.tokens).toBe(20 * countParameters(preset('small')).active);
    expect(trainingAssumptions(card).join()).toMatch(/20 for each active parameter/);
  });

  it('counts accelerators up', () => {
    expect([devices(80e9), devices(80e9 + 1)]).toEqual(['fits one H800 (80 GB)', 'fills 2 H800s of 80 GB']);
  });
});
