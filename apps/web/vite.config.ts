/**
 * How the page is bundled and served. Both servers, of `vite` and of `vite preview`, send the two headers that give a page
 * shared memory, and so the threads of the CPU backend; whoever hosts the page must send them too (README.md).
 */
import { fileURLToPath } from 'node:url';
import { defaultClientConditions, defineConfig } from 'vite';

const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  // The page may lie in any folder of a host.
  base: './',
  // Workspace packages by the same entry points that users import, from source: no build comes before.
  resolve: { conditions: ['@mariana/source', ...defaultClientConditions] },
  server: { headers },
  preview: { headers },
  worker: { format: 'es' },
  build: { target: 'es2024', reportCompressedSize: false },
});
