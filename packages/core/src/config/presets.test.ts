import { describe, expect, it } from 'vitest';
import { goldenHeader } from '../accounting/fixtures/headers.ts';
import { isPresetName, type PresetName, preset, presetNames } from './presets.ts';

describe('presets', () => {
  it.each(presetNames)('%s is a sound config', (name) => {
    expect(preset(name).raw.model_type).toBeTypeOf('string');
  });

  it('tiny and tiny-mtp have the shapes of the golden checkpoints', () => {
    for (const [name, golden] of [
      ['tiny', 'tiny-dense-moe'],
      ['tiny-mtp', 'tiny-mtp'],
    ] as const) {
      const { raw: _, ...config } = preset(name);
      expect(goldenHeader(golden).config).toMatchObject(config);
    }
  });

  it('are listed when a name is not one of them', () => {
    expect(isPresetName('toString')).toBe(false);
    for (const name of ['gpt-2', 'toString', '', undefined, 3]) {
      expect(() => preset(name as PresetName)).toThrow(/there is no preset .*deepseek-v3.*tiny/);
    }
  });
});
