/**
 * A Python with PyTorch and transformers, brought once into the cache folder. On Linux PyPI's wheel carries the libraries
 * of CUDA, gigabytes of them, and computes on processors just the same; a Python that has both already is taken instead
 * if MARIANA_TORCH_PYTHON names it.
 */
import { join } from 'node:path';
import { note } from '../run-group.ts';
import { command } from './command.ts';
import { once } from './once.ts';

const TORCH = '2.15.0';
const TRANSFORMERS = '5.23.0';

/** @throws Error that says what failed, such as PyPI that cannot be reached */
export async function torchPython(folder: string): Promise<string> {
  const { MARIANA_TORCH_PYTHON } = process.env;
  if (MARIANA_TORCH_PYTHON) return MARIANA_TORCH_PYTHON;
  const home = await once(join(folder, `python-torch-${TORCH}`), async (home) => {
    note(`installing PyTorch ${TORCH} and transformers ${TRANSFORMERS}; this takes a while, and 6 GB`);
    await command('python3', ['-m', 'venv', home]);
    const packages = [`torch==${TORCH}`, `transformers==${TRANSFORMERS}`, 'safetensors', 'numpy'];
    await command(join(home, 'bin', 'pip'), ['install', '--quiet', ...packages]);
  });
  return join(home, 'bin', 'python');
}
