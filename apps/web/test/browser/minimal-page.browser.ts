/** `examples/minimal-page`: short, and it works. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, defaultClientConditions } from 'vite';
import { expect, test } from 'vitest';
import { SITE } from '../support/build-site.ts';
import { TEST_MODEL } from '../support/make-model.ts';
import { serveSite } from '../support/site.ts';
import { launch, visit } from '../support/visit.ts';

const EXAMPLE = fileURLToPath(new URL('../../../../examples/minimal-page', import.meta.url));
const OUT = join(SITE, '../minimal-page');

test('has fewer than 40 lines in all', () => {
  const lines = readdirSync(EXAMPLE).map(
    (file) => readFileSync(join(EXAMPLE, file), 'utf8').trimEnd().split('\n').length,
  );
  expect(lines.reduce((sum, count) => sum + count, 0)).toBeLessThan(40);
});

test('loads a model and streams its text', async () => {
  await build({
    root: EXAMPLE,
    configFile: false,
    publicDir: false,
    logLevel: 'warn',
    resolve: { conditions: ['@mariana/source', ...defaultClientConditions] },
    worker: { format: 'es' },
    build: { outDir: OUT, emptyOutDir: true, target: 'es2024' },
  });
  const browser = await launch();
  const site = await serveSite(OUT, { mounts: { model: TEST_MODEL } });
  await using visitor = await visit(browser, site);
  await visitor.page.getByText('(end)').waitFor();
  expect((await visitor.page.locator('#text').textContent())!.length).toBeGreaterThan(50);
  expect(visitor.errors).toEqual([]);
  await browser.close();
  await site.close();
});
