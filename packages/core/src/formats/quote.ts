/** Names from files in messages: quoted, control characters escaped, and cut where a damaged file made them long. */

const LONGEST = 120;

/** `name` as it can be put into a one-line message. */
export function quote(name: string): string {
  return JSON.stringify(name.length > LONGEST ? `${name.slice(0, LONGEST)}...` : name);
}
