/** What this page uses of Observable Plot: a bundler leaves out the rest. Add marks here as a picture needs them. */
export {
  areaY,
  axisX,
  axisY,
  barX,
  barY,
  cell,
  dot,
  gridX,
  gridY,
  line,
  lineY,
  type PlotOptions,
  plot,
  rect,
  ruleX,
  ruleY,
  text,
  tickX,
} from '@observablehq/plot';
export type PlotModule = typeof import('./plot.ts');
