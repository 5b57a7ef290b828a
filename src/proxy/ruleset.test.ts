/** Differences between claims and kernel, and the transactions they become. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Item, itemContent, itemId } from './item.ts';
import { formatChanges, formatLoad } from './nft.ts';
import { Ruleset } from './ruleset.ts';

const at = (key: string, value: string): Item => ({
  ...{ kind: 'element', set: 'service-addresses', key, value },
});
const shared: Item = {
  kind: 'chain',
  name: 'service-tcp-1',
  rules: [{ do: 'choose', place: 'service', protocol: 'tcp', count: 1 }],
};

/** Applies what has changed and says what that was. */
function step(ruleset: Ruleset): { readonly put: string[]; readonly remove: string[] } {
  const changes = ruleset.changes();
  ruleset.applied(changes);
  const text = (item: Item): string => `${itemId(item)} = ${itemContent(item)}`;
  return {
    put: changes.put.map(({ item }) => text(item)),
    remove: changes.remove.map((item) => itemId(item)),
  };
}

test('only what differs from the kernel is changed', () => {
  const ruleset = new Ruleset();
  ruleset.replace('default/a', [at('10.43.0.1', 'drop'), shared]);
  ruleset.replace('default/b', [at('10.43.0.2', 'drop'), shared]);
  const rule = 'dnat ip to ip daddr . tcp dport . numgen random mod 1 map @tcp-service-endpoints';
  assert.deepEqual(step(ruleset), {
    put: [
      'service-addresses 10.43.0.1 = drop',
      `chain service-tcp-1 = ${rule}`,
      'service-addresses 10.43.0.2 = drop',
    ],
    remove: [],
  });
  ruleset.replace('default/a', [at('10.43.0.1', 'drop'), shared]);
  assert.deepEqual(step(ruleset), { put: [], remove: [] });
  ruleset.replace('default/a', [at('10.43.0.1', 'goto x')]);
  assert.deepEqual(step(ruleset), {
    put: ['service-addresses 10.43.0.1 = goto x'],
    remove: [],
  });
  ruleset.replace('default/b', []);
  assert.deepEqual(step(ruleset), {
    put: [],
    remove: ['service-addresses 10.43.0.2', 'chain service-tcp-1'],
  });
});

test('of two claims to one place the first holds until it is withdrawn', () => {
  const ruleset = new Ruleset();
  ruleset.replace('default/a', [at('203.0.113.1', 'goto a')]);
  ruleset.replace('default/b', [at('203.0.113.1', 'goto b')]);
  assert.deepEqual(step(ruleset).put, ['service-addresses 203.0.113.1 = goto a']);
  ruleset.replace('default/a', []);
  assert.deepEqual(step(ruleset), { put: ['service-addresses 203.0.113.1 = goto b'], remove: [] });
  ruleset.replace('default/b', []);
  assert.deepEqual(step(ruleset).remove, ['service-addresses 203.0.113.1']);
});

test('what was put and taken back before it was applied leaves nothing to do', () => {
  const ruleset = new Ruleset();
  ruleset.replace('default/a', [at('10.43.0.1', 'drop')]);
  ruleset.replace('default/a', []);
  assert.deepEqual(step(ruleset), { put: [], remove: [] });
  ruleset.appliedAll([at('10.43.0.9', 'drop')]);
  assert.deepEqual(step(ruleset), { put: [], remove: [] });
});

test('a transaction takes away, adds, and removes chains last', () => {
  const ruleset = new Ruleset();
  ruleset.replace('default/a', [at('10.43.0.1', 'goto service-tcp-1'), shared]);
  step(ruleset);
  ruleset.replace('default/a', [at('10.43.0.1', 'drop')]);
  assert.equal(
    formatChanges('t', ruleset.changes()),
    [
      'delete element ip t service-addresses { 10.43.0.1 }',
      'add element ip t service-addresses { 10.43.0.1 : drop }',
      '',
      'flush chain ip t service-tcp-1',
      'delete chain ip t service-tcp-1',
      '',
    ].join('\n'),
  );
});

test('a load replaces the table in one transaction', () => {
  const text = formatLoad('t', [at('10.43.0.1', 'goto service-tcp-1'), shared]);
  assert.match(text, /^table ip t\ndelete table ip t\ntable ip t \{\n/);
  const chain = text.indexOf('add chain ip t service-tcp-1');
  const element = text.indexOf('add element ip t service-addresses { 10.43.0.1 :');
  assert.ok(chain > 0 && element > chain, 'elements name chains that exist');
});
