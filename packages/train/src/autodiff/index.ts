export { AutodiffBackend, autodiff, type BackwardOptions, type CustomOperation } from './autodiff-backend.ts';
