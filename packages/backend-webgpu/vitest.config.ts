import shared from '../../tooling/vitest.ts';
import { vulkanVariables } from './test/support/vulkan.ts';

// For the workers, which are processes of their own: a driver is found when a process starts.
Object.assign(process.env, vulkanVariables());

export default shared;
