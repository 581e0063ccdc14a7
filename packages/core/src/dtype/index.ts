export * from './dtype.ts';
export * from './tensor-dtype.ts';
