/** Only this repository needs it: its packages are taken from their sources. */
import { defaultClientConditions, defineConfig } from 'vite';

export default defineConfig({ resolve: { conditions: ['@mariana/source', ...defaultClientConditions] } });
