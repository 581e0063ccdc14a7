export { type AutoBackendOptions, autoBackend } from './auto-backend.ts';
export type { BackendChoice, BackendName, Candidate, Verdict } from './choose.ts';
