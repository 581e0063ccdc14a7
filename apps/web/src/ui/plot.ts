/** What this page uses of Observable Plot: a bundler leaves out the rest. Add marks here as a picture needs them. */
export {
  axisX,
  axisY,
  barX,
  dot,
  gridY,
  line,
  type PlotOptions,
  plot,
  ruleX,
  ruleY,
  text,
} from '@observablehq/plot';
export type PlotModule = typeof import('./plot.ts');
