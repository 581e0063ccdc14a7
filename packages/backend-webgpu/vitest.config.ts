import shared from '../../tooling/vitest.ts';
import { needsGpu } from './test/support/needs-gpu.ts';

export default { ...shared, plugins: [needsGpu] };
