/** Each way in which there can be no GPU is one clear error. In processes of their own, which have it so. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const START = `
  import { webgpu } from './src/index.ts';
  try {
    await webgpu();
    console.log('started');
  } catch (error) {
    console.log(error.name, error.code, error.message);
  }
  process.exit(0);
`;

async function run(program: string, env: Record<string, string> = {}): Promise<string> {
  const args = ['--conditions=@mariana/source', '--input-type=module-typescript', '--eval', program];
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, env: { ...process.env, ...env } });
  return stdout.trim();
}

test('no driver, so no adapter', async () => {
  const nowhere = { VK_ICD_FILENAMES: '/nowhere.json', VK_DRIVER_FILES: '/nowhere.json' };
  expect(await run(START, nowhere)).toMatch(/^MarianaError BACKEND_UNAVAILABLE webgpu: there is no GPU adapter here;/);
});

test('no package webgpu', async () => {
  const hooks = `
    import { registerHooks } from 'node:module';
    registerHooks({
      resolve(specifier, context, next) {
        if (specifier === 'webgpu') throw new Error("Cannot find package 'webgpu'");
        return next(specifier, context);
      },
    });
  `;
  const program = `${hooks}\n${START.replace("import { webgpu } from './src/index.ts';", "const { webgpu } = await import('./src/index.ts');")}`;
  expect(await run(program)).toMatch(
    /^MarianaError BACKEND_UNAVAILABLE webgpu: Node has no WebGPU of its own .* npm install webgpu \(Cannot find package/,
  );
});
