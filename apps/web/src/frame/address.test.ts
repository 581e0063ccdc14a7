import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatAddress, PLACES, parseAddress } from './address.ts';

test('what is written into the address is read from it', () => {
  const parameters = fc
    .dictionary(fc.string({ minLength: 1 }), fc.string())
    .filter((values) => !('__proto__' in values));
  fc.assert(
    fc.property(fc.constantFrom(...PLACES), parameters, (place, values) => {
      const read = parseAddress(formatAddress(place, values));
      expect(read.place).toBe(place);
      expect({ ...read.parameters }).toEqual({ ...values });
    }),
  );
});

test('any hash leads somewhere', () => {
  fc.assert(fc.property(fc.string(), (hash) => PLACES.includes(parseAddress(hash).place)));
  expect(parseAddress('').place).toBe('generate');
  expect(parseAddress('#/inside?head=2')).toEqual({ place: 'inside', parameters: { head: '2' } });
});
