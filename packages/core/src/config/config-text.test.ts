import { expect, test } from 'vitest';
import { configText } from './config-text.ts';
import { configToJson } from './config-to-json.ts';
import { parseConfig } from './parse-config.ts';
import { preset } from './presets.ts';

test('whole values of real fields get a decimal point, in the middle and at the end', () => {
  expect(configText({ routed_scaling_factor: 1, hidden_size: 64, rms_norm_eps: 1e-6, aux_loss_alpha: 0 })).toBe(
    '{\n  "routed_scaling_factor": 1.0,\n  "hidden_size": 64,\n  "rms_norm_eps": 0.000001,\n  "aux_loss_alpha": 0.0\n}\n',
  );
});

test('other values stay as they are, and so do objects inside', () => {
  const json = { routed_scaling_factor: 2.5, initializer_range: 1e-7, more: { routed_scaling_factor: 1 }, n_group: 1 };
  expect(configText(json)).toBe(`${JSON.stringify(json, null, 2)}\n`);
});

test('what is read from the text is what was written', () => {
  const config = { ...preset('tiny'), routedScalingFactor: 1 };
  const text = configText(configToJson(config));
  expect(text).toContain('"routed_scaling_factor": 1.0,');
  expect(configToJson(parseConfig(JSON.parse(text)))).toEqual(configToJson(config));
});
