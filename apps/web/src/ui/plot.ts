/** What this page uses of Observable Plot: a bundler leaves out the rest. Add marks here as a picture needs them. */
export {
  areaY,
  axisX,
  axisY,
  barX,
  barY,
  cell,
  dot,
  gridY,
  line,
  lineY,
  type PlotOptions,
  plot,
  ruleX,
  ruleY,
  text,
} from '@observablehq/plot';
export type PlotModule = typeof import('./plot.ts');
