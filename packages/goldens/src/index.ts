export { type GoldenCase, goldenCases } from './cases.ts';
export { Golden, type OpenFixture } from './golden.ts';
