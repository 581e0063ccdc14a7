/** Turns, frames and rests, by a clock that the test moves. */
import { beforeEach, describe, expect, test } from 'vitest';
import { type Clock, DrawQueue } from './draw-queue.ts';

let now: number;
let frames: (() => void)[];
let rests: { callback: () => void; milliseconds: number }[];
let drawn: string[];
let queue: DrawQueue;

beforeEach(() => {
  now = 0;
  frames = [];
  rests = [];
  drawn = [];
  const clock: Clock = {
    now: () => now,
    frame: (callback) => void frames.push(callback),
    afterFrame: (callback) => callback(),
    wait(callback, milliseconds) {
      const rest = { callback, milliseconds };
      rests.push(rest);
      return () => {
        rests = rests.filter((other) => other !== rest);
      };
    },
  };
  queue = new DrawQueue(clock);
});

const keys = { a: {}, b: {}, c: {} };

function add(name: keyof typeof keys, milliseconds: number, said: string = name): void {
  queue.add(keys[name], () => {
    drawn.push(said);
    now += milliseconds;
  });
}

async function frame(): Promise<void> {
  for (const callback of frames.splice(0)) callback();
  await new Promise((resolve) => setImmediate(resolve));
}

describe('a frame', () => {
  test('draws what fits, and leaves the rest to the next, in turn', async () => {
    add('a', 2);
    add('b', 5);
    add('c', 1);
    await frame();
    expect(drawn).toEqual(['a', 'b']);
    add('a', 2);
    await frame();
    expect(drawn).toEqual(['a', 'b', 'c', 'a']);
  });

  test('draws the newest of what was asked for, once, in the turn of the first', async () => {
    add('a', 1, 'old');
    add('b', 1);
    add('a', 1, 'new');
    await frame();
    expect(drawn).toEqual(['new', 'b']);
    expect(frames).toEqual([]);
  });

  test('draws nothing that is no longer wanted', async () => {
    add('a', 1);
    add('b', 1);
    queue.drop(keys.a);
    await frame();
    expect(drawn).toEqual(['b']);
  });
});

describe('while something computes', () => {
  beforeEach(() => {
    queue.isSparing = () => true;
  });

  test.each([
    ['takes a 25th of the time', 20, 480],
    ['comes five times a second at most', 1, 200],
  ])('drawing %s', async (_, milliseconds, rest) => {
    add('a', milliseconds);
    await frame();
    add('a', milliseconds);
    expect(frames).toEqual([]);
    expect(rests.map(({ milliseconds }) => milliseconds)).toEqual([rest]);
    now += rest;
    rests.pop()!.callback();
    await frame();
    expect(drawn).toEqual(['a', 'a']);
  });

  test('nobody waits for the answer to what they did', async () => {
    add('a', 4);
    await frame();
    add('b', 1);
    queue.hurry();
    expect(rests).toEqual([]);
    await frame();
    expect(drawn).toEqual(['a', 'b']);
  });
});

test('without anything that computes, drawing does not rest', async () => {
  add('a', 40);
  await frame();
  add('b', 1);
  expect(rests).toEqual([]);
  await frame();
  expect(drawn).toEqual(['a', 'b']);
});
