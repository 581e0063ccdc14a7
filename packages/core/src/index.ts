export * from './accounting/index.ts';
export * from './backend/index.ts';
export * from './checkpoint/index.ts';
export * from './config/index.ts';
export * from './dtype/index.ts';
export * from './errors.ts';
export * from './formats/index.ts';
