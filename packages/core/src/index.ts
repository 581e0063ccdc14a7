export * from './dtype/index.ts';
export * from './formats/index.ts';
export * from './errors.ts';
