export * from './autodiff/index.ts';
