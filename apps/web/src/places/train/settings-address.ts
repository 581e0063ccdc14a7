/** The settings of a run in the address: what differs from the defaults of its size, and no more. */
import { checkSettings, defaultSettings } from '../../worker/train-plan.ts';
import { type Balance, SIZES, type Size, type TrainSettings } from '../../worker/train-protocol.ts';

/** Parameters of an address from settings. */
export function settingsToParameters(settings: TrainSettings): Record<string, string> {
  const usual = defaultSettings(settings.size);
  const parameters: Record<string, string> = { size: settings.size };
  if (settings.steps !== usual.steps) parameters.steps = String(settings.steps);
  if (settings.learningRate !== usual.learningRate) parameters.rate = String(settings.learningRate);
  if (settings.balance !== usual.balance) parameters.balance = settings.balance;
  if (settings.seed !== usual.seed) parameters.seed = String(settings.seed);
  if (settings.prompt !== usual.prompt) parameters.prompt = settings.prompt;
  return parameters;
}

/** Settings from an address. @throws MarianaError `USAGE` for values that make no sense */
export function settingsFromParameters(parameters: Readonly<Record<string, string>>): TrainSettings {
  const { size = SIZES[0], steps, rate, balance, seed, prompt } = parameters;
  const usual = defaultSettings(SIZES.find((known) => known === size) ?? SIZES[0]);
  return checkSettings({
    size: size as Size,
    steps: steps === undefined ? usual.steps : numberOf(steps),
    learningRate: rate === undefined ? usual.learningRate : numberOf(rate),
    balance: (balance ?? usual.balance) as Balance,
    seed: seed === undefined ? usual.seed : numberOf(seed),
    prompt: prompt ?? usual.prompt,
  });
}

/** `Number`, but nothing is not 0. */
function numberOf(text: string): number {
  return text.trim() === '' ? Number.NaN : Number(text);
}
