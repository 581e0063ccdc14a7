/** Numbers from 0 to `count - 1`. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Every how many of `count` numbers there is room for `room` of them. */
export function stepFor(count: number, room: number): number {
  let step = 1;
  while (count / step > room) step *= 2;
  return step;
}
