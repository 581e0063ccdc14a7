/** The model card, as a visitor uses it: presets, configs of their own, what-ifs, and an address that can be shared. */
import { configToJson, preset, weightBytes } from '@mariana/core';
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cardOf } from '../../src/places/model-card/card.ts';
import {
  cacheFinding,
  parametersFinding,
  trainingFinding,
  weightsFinding,
} from '../../src/places/model-card/findings.ts';
import { FIRST_VIEW, viewOfPreset, withChange } from '../../src/places/model-card/view.ts';
import { SITE } from '../support/build-site.ts';
import { type Site, serveSite } from '../support/site.ts';
import { launch, visit } from '../support/visit.ts';

let browser: Browser;
let site: Site;
beforeAll(async () => {
  browser = await launch();
  site = await serveSite(SITE);
});
afterAll(async () => {
  await browser.close();
  await site.close();
});

const card = (hash = '') => visit(browser, site, { hash: `#model-card${hash}` });

/** The sentences above the pictures. */
const findings = (page: Page) => page.locator('.model-card .finding').allTextContents();

const file = (json: unknown, name = 'config.json') => ({
  name,
  mimeType: 'application/json',
  buffer: Buffer.from(typeof json === 'string' ? json : JSON.stringify(json)),
});

test('shows DeepSeek-V3 first, and any preset, with the numbers of core', async () => {
  await using visitor = await card();
  const { page } = visitor;
  const sentences = (made: ReturnType<typeof cardOf>) => [
    parametersFinding(made),
    cacheFinding(made),
    weightsFinding(made),
    trainingFinding(made),
  ];
  await page.getByRole('heading', { name: 'deepseek-v3' }).waitFor();
  expect(await findings(page)).toEqual(sentences(cardOf(FIRST_VIEW)));
  await page.getByRole('figure', { name: 'Memory of the weights by format' }).getByText('Numbers as a table').click();
  const bytes = weightBytes(preset('deepseek-v3'), 'fp8').total.toLocaleString('en-US');
  await page.getByRole('cell', { name: bytes, exact: true }).waitFor();

  await page.locator('.chooser select').selectOption('moonlight-16b-a3b');
  await page.getByRole('heading', { name: 'moonlight-16b-a3b' }).waitFor();
  expect(await findings(page)).toEqual(sentences(cardOf(viewOfPreset('moonlight-16b-a3b'))));
  expect(page.url()).toContain('preset=moonlight-16b-a3b');
  expect(visitor.errors).toEqual([]);
});

test('takes a config.json that is chosen or dropped, and its address shows it to others', async () => {
  await using visitor = await card();
  const { page } = visitor;
  await page
    .locator('input[type=file]')
    .first()
    .setInputFiles(file({ ...configToJson(preset('deepseek-v3')), kv_lora_rank: 256 }, 'mine.json'));
  await page.getByRole('heading', { name: 'mine.json' }).waitFor();
  const own = await findings(page);
  expect(own[1]).toContain('At 131,072 tokens the latent cache takes 5.12 GB');

  await using other = await visit(browser, site, { hash: new URL(page.url()).hash });
  await other.page.getByRole('heading', { name: 'mine.json' }).waitFor();
  expect(await findings(other.page)).toEqual(own);

  const dropped = JSON.stringify(configToJson(preset('small')));
  const transfer = await page.evaluateHandle((text) => {
    const made = new DataTransfer();
    made.items.add(new File([text], 'config.json', { type: 'application/json' }));
    return made;
  }, dropped);
  await page.dispatchEvent('.model-card', 'drop', { dataTransfer: transfer });
  await page.getByRole('heading', { name: 'small' }).waitFor();
  expect(visitor.errors).toEqual([]);
});

test.each([
  ['a file that is no JSON', file('{"hidden_size": 64,\n}'), /config\.json.*line 2, column 1.*correct the file/],
  ['a config of another family', file({ model_type: 'llama' }), /model_type "llama" is not supported/],
  [
    'a config with an absurd number',
    file({ ...configToJson(preset('tiny')), hidden_size: -1 }),
    /hidden_size is -1.*whole number/,
  ],
  [
    'a file of weights',
    file('x'.repeat(1_200_000), 'model.safetensors'),
    /model\.safetensors: 1200000 bytes are too many/,
  ],
])('%s is refused with what, where and what to do, and the card stays', async (_, chosen, message) => {
  await using visitor = await card('?preset=kimi-k2');
  const { page } = visitor;
  await page.getByRole('heading', { name: 'kimi-k2' }).waitFor();
  const before = await findings(page);
  await page.locator('input[type=file]').first().setInputFiles(chosen);
  const alert = page.getByRole('alert');
  await alert.waitFor();
  expect(await alert.textContent()).toMatch(message);
  expect(await findings(page)).toEqual(before);
  await page.getByRole('button', { name: 'Dismiss' }).click();
  await alert.waitFor({ state: 'detached' });
  expect(visitor.errors).toEqual([]);
});

test('answers what-ifs by keyboard, and says when a model makes no sense', async () => {
  await using visitor = await card();
  const { page } = visitor;
  const slider = page.getByLabel(/^Context:/);
  await slider.focus();
  await page.keyboard.press('ArrowLeft');
  await page.getByText('At 65,536 tokens the latent cache takes 4.61 GB').waitFor();
  expect(page.url()).toContain('context=65536');

  await page.getByText('Change the model').click();
  await page.getByLabel('n_routed_experts').fill('128');
  await page.keyboard.press('Tab');
  await page.getByRole('heading', { name: 'deepseek-v3, changed' }).waitFor();
  const halved = withChange({ ...FIRST_VIEW, context: 65_536 }, 'n_routed_experts', 128);
  expect((await findings(page))[0]).toBe(parametersFinding(cardOf(halved)));

  await page.getByLabel('n_routed_experts').fill('129');
  await page.keyboard.press('Tab');
  const alert = page.getByRole('alert');
  await alert.waitFor();
  expect(await alert.textContent()).toMatch(/n_group.*divisor of n_routed_experts \(129\)/);
  expect((await findings(page))[0]).toBe(parametersFinding(cardOf(halved)));
  await page.getByRole('button', { name: 'Back to deepseek-v3' }).click();
  await page.getByRole('heading', { name: 'deepseek-v3', exact: true }).waitFor();
  expect(await page.getByRole('alert').count()).toBe(0);
  expect(visitor.errors).toEqual([]);
});

test('reckons hours for any number of tokens, and refuses what is none', async () => {
  await using visitor = await card('?preset=small');
  const { page } = visitor;
  const tokens = page.getByLabel('Tokens to train on');
  await tokens.fill('2 T');
  await tokens.press('Enter');
  await page.getByText('2.00 T tokens at').waitFor();
  expect(page.url()).toContain('tokens=2000000000000');
  await tokens.fill('a lot');
  await tokens.press('Enter');
  await page.getByText('This is no number of tokens').waitFor();
  expect(page.url()).toContain('tokens=2000000000000');
  expect(visitor.errors).toEqual([]);
});

test('an address that makes no sense is told, and leads back', async () => {
  await using visitor = await card('?preset=deepseek-v9');
  const { page } = visitor;
  const alert = page.getByRole('alert');
  await alert.waitFor();
  expect(await alert.textContent()).toMatch(/preset=deepseek-v9.*use one of deepseek-v3/);
  await page.getByRole('button', { name: 'Dismiss' }).click();
  await alert.waitFor({ state: 'detached' });
  expect(page.url()).toContain('preset=deepseek-v3');
});
