/** Pods near others and apart from them, and what is counted when pods come and go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Affinity, Namespace, PodAffinityTerm, PodSpec } from '#resources/types/core-v1.ts';
import { nodeIn, nodeOf, Picture, podOf } from '#test/cluster-picture.ts';
import { covers, superseded } from '#test/covers.ts';
import { readerOf } from '../facts.ts';
import { podFacts } from '../pod-facts.ts';

const zone = 'topology.kubernetes.io/zone';
const hostname = 'kubernetes.io/hostname';
const zones = [nodeIn('a', 'a1'), nodeIn('a', 'a2'), nodeIn('b', 'b1')];

function term(app: string, more: Partial<PodAffinityTerm> = {}): PodAffinityTerm {
  return { labelSelector: { matchLabels: { app } }, topologyKey: zone, ...more };
}

function near(...terms: readonly PodAffinityTerm[]): Partial<PodSpec> {
  const affinity: Affinity = {
    podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms },
  };
  return { affinity };
}

function apart(...terms: readonly PodAffinityTerm[]): Partial<PodSpec> {
  const affinity: Affinity = {
    podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: terms },
  };
  return { affinity };
}

function labelled(app: string, namespace = 'default') {
  return { labels: { app }, namespace };
}

function namespace(name: string, labels: Record<string, string> = {}): Namespace {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } } as Namespace;
}

test('required affinity: only where a matching pod runs in the same topology', () => {
  covers('SCH-029');
  const picture = new Picture(zones);
  const wants = podOf('web', near(term('db')));
  assert.equal(
    picture.why(wants),
    "0/3 nodes are available: 3 node(s) didn't match pod affinity rules.",
  );
  picture.run(podOf('db', {}, labelled('db')), 'a1');
  assert.deepEqual(picture.fits(wants), ['a1', 'a2']);
  picture.cluster.removePod('uid-db');
  assert.deepEqual(picture.fits(wants), []);
});

test('all terms must hold, and one pod must match all of them', () => {
  covers('SCH-034');
  const picture = new Picture(zones);
  const both = podOf('web', near(term('db'), term('db', { topologyKey: hostname })));
  picture.run(podOf('db', {}, labelled('db')), 'a1');
  assert.deepEqual(picture.fits(both), ['a1']);
  const mixed = podOf('web', near(term('db'), term('cache')));
  picture.run(podOf('cache', {}, labelled('cache')), 'a1');
  assert.deepEqual(picture.fits(mixed), []);
  // Of a term every expression, and of terms to keep apart each one.
  const expression = (key: string, value: string) => ({ key, operator: 'In', values: [value] });
  const strict = term('', {
    labelSelector: { matchExpressions: [expression('app', 'db'), expression('tier', 'back')] },
  });
  assert.deepEqual(picture.fits(podOf('web', near(strict))), []);
  assert.deepEqual(picture.fits(podOf('web', apart(strict))), ['a1', 'a2', 'b1']);
  picture.run(
    podOf('far', {}, { labels: { app: 'db', tier: 'back' }, namespace: 'default' }),
    'b1',
  );
  assert.deepEqual(picture.fits(podOf('web', near(strict))), ['b1']);
  assert.deepEqual(picture.fits(podOf('web', apart(strict))), ['a1', 'a2']);
  const neither = apart(strict, term('cache', { topologyKey: hostname }));
  assert.deepEqual(picture.fits(podOf('web', neither)), ['a2']);
});

test('the first pod that wants its own kind near is let through, the next follows it', () => {
  const picture = new Picture([...zones, nodeOf('without-zone')]);
  const web = (name: string) => podOf(name, near(term('web')), labelled('web'));
  assert.deepEqual(picture.fits(web('1')), ['a1', 'a2', 'b1']);
  picture.run(web('1'), 'b1');
  assert.deepEqual(picture.fits(web('2')), ['b1']);
});

test('the four ways to ask for labels of company', () => {
  covers('SCH-031');
  const picture = new Picture(zones);
  // Both have the label, so that no pod is company for itself that it would not find elsewhere.
  const own = { labels: { security: 'S1' }, namespace: 'default' };
  picture.run(podOf('db', {}, own), 'a1');
  const by = (operator: string, ...values: readonly string[]) => {
    const expression = { key: 'security', operator, ...(values.length > 0 ? { values } : {}) };
    const labelSelector = { matchExpressions: [expression] };
    return picture.fits(podOf('web', near(term('', { labelSelector })), own));
  };
  assert.deepEqual(by('In', 'S1', 'S2'), ['a1', 'a2']);
  assert.deepEqual(by('In', 'S2'), []);
  assert.deepEqual(by('NotIn', 'S2'), ['a1', 'a2']);
  assert.deepEqual(by('NotIn', 'S1'), []);
  assert.deepEqual(by('Exists'), ['a1', 'a2']);
  assert.deepEqual(by('DoesNotExist'), []);
  // Whoever lacks the label is one that it does not exist on, and not in any list.
  picture.run(podOf('plain', {}, { labels: { app: 'x' }, namespace: 'default' }), 'b1');
  assert.deepEqual(by('DoesNotExist'), ['b1']);
  assert.deepEqual(by('NotIn', 'S1'), ['b1']);
});

test('required anti-affinity keeps pods apart, in both directions', () => {
  covers('SCH-079');
  const picture = new Picture(zones);
  const zk = (name: string) =>
    podOf(name, apart(term('zk', { topologyKey: hostname })), labelled('zk'));
  picture.run(zk('0'), 'a1');
  picture.run(zk('1'), 'b1');
  assert.deepEqual(picture.fits(zk('2')), ['a2']);
  picture.run(zk('2'), 'a2');
  assert.equal(
    picture.why(zk('3')),
    "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.",
  );
  // A pod without any rule is kept away by theirs.
  assert.equal(
    picture.why(podOf('plain', {}, labelled('zk'))),
    "0/3 nodes are available: 3 node(s) didn't satisfy existing pods anti-affinity rules.",
  );
  picture.cluster.removePod('uid-1');
  assert.deepEqual(picture.fits(zk('3')), ['b1']);
});

test('without anti-affinity pods of a set may share a node', () => {
  covers('SCH-080');
  const picture = new Picture([nodeOf('n')]);
  for (const name of ['0', '1']) picture.run(podOf(name, {}, labelled('zk')), 'n');
  assert.deepEqual(picture.fits(podOf('2', {}, labelled('zk'))), ['n']);
});

test('namespaces: the own one, named ones, selected ones, all', () => {
  superseded('SCH-033', {
    by: 'v1.22',
    now: 'an empty list means the own namespace; an empty namespaceSelector means all',
  });
  const facts = {
    namespaces: readerOf(namespace('default'), namespace('x', { team: 'x' }), namespace('y')),
  };
  const picture = new Picture(zones, facts);
  picture.run(podOf('db', {}, labelled('db', 'x')), 'b1');
  const fits = (more: Partial<PodAffinityTerm>) =>
    picture.fits(podOf('web', near(term('db', more))));
  assert.deepEqual(fits({}), []);
  assert.deepEqual(fits({ namespaces: [] }), []);
  assert.deepEqual(fits({ namespaces: ['x'] }), ['b1']);
  assert.deepEqual(fits({ namespaceSelector: { matchLabels: { team: 'x' } } }), ['b1']);
  assert.deepEqual(fits({ namespaceSelector: { matchLabels: { team: 'y' } } }), []);
  assert.deepEqual(fits({ namespaceSelector: {} }), ['b1']);
  // Their terms are asked the same way about a newcomer.
  const everywhere = apart(term('db', { namespaceSelector: {} }));
  picture.run(podOf('lonely', everywhere, labelled('lonely', 'y')), 'a1');
  assert.deepEqual(picture.fits(podOf('other', {}, labelled('db'))), ['b1']);
});

test('label keys: the own value must match, or must not', () => {
  const picture = new Picture(zones);
  const of = (version: string) => ({ labels: { app: 'web', version }, namespace: 'default' });
  picture.run(podOf('old', {}, of('1')), 'a1');
  const same = near(term('web', { matchLabelKeys: ['version'] }));
  const other = apart(term('web', { mismatchLabelKeys: ['version'] }));
  assert.deepEqual(picture.fits(podOf('n', same, of('1'))), ['a1', 'a2']);
  assert.deepEqual(picture.fits(podOf('n', other, of('1'))), ['a1', 'a2', 'b1']);
  assert.deepEqual(picture.fits(podOf('n', other, of('2'))), ['b1']);
});

test('preferences of the newcomer and of those there draw it and push it away', () => {
  covers('SCH-030');
  const picture = new Picture(zones);
  const soft = (
    sign: 'podAffinity' | 'podAntiAffinity',
    ...terms: readonly (string | PodAffinityTerm)[]
  ): Partial<PodSpec> => ({
    affinity: {
      [sign]: {
        // Each weighs less than the one before.
        preferredDuringSchedulingIgnoredDuringExecution: terms.map((one, index) => ({
          weight: 100 - 90 * index,
          podAffinityTerm: typeof one === 'string' ? term(one) : one,
        })),
      },
    },
  });
  picture.run(podOf('s2', {}, labelled('s2')), 'a1');
  const byHost = ['s2', 's3'].map((app) => term(app, { topologyKey: hostname }));
  const hosts = new Picture([nodeIn('a', 'a1'), nodeIn('a', 'a2')]);
  hosts.run(podOf('s2', {}, labelled('s2')), 'a1');
  assert.equal(hosts.place(podOf('w', soft('podAntiAffinity', ...byHost))), 'a2');
  hosts.run(podOf('s3', {}, labelled('s3')), 'a2');
  assert.equal(hosts.place(podOf('w', soft('podAntiAffinity', ...byHost))), 'a2', 's2 weighs more');
  assert.equal(hosts.place(podOf('w', soft('podAntiAffinity', ...byHost.toReversed()))), 'a1');
  assert.equal(picture.place(podOf('w', soft('podAntiAffinity', 's2'))), 'b1');
  assert.match(picture.place(podOf('w', soft('podAffinity', 's2'))) ?? '', /^a/);
  picture.run(podOf('host', soft('podAffinity', 'guest'), labelled('host')), 'b1');
  assert.equal(picture.place(podOf('g', {}, labelled('guest'))), 'b1');
  picture.run(podOf('shy', soft('podAntiAffinity', 'crowd'), labelled('shy')), 'b1');
  assert.match(picture.place(podOf('c', {}, labelled('crowd'))) ?? '', /^a/);
});

test('counts follow a node whose labels change, and one that goes', () => {
  const picture = new Picture(zones);
  const wants = podOf('web', near(term('db')));
  const hates = podOf('web', apart(term('db')));
  picture.run(podOf('db', apart(term('quiet')), labelled('db')), 'a1');
  assert.deepEqual(picture.fits(wants), ['a1', 'a2']);
  assert.deepEqual(picture.fits(podOf('q', {}, labelled('quiet'))), ['b1']);
  picture.cluster.setNode(nodeIn('b', 'a1'));
  assert.deepEqual(picture.fits(wants), ['a1', 'b1']);
  assert.deepEqual(picture.fits(hates), ['a2']);
  assert.deepEqual(picture.fits(podOf('q', {}, labelled('quiet'))), ['a2']);
  picture.cluster.removeNode('a1');
  assert.deepEqual(picture.fits(wants), []);
  picture.cluster.setNode(nodeIn('a', 'a1'));
  assert.deepEqual(picture.fits(wants), ['a1', 'a2']);
});

test('which changes wake a pod that found nobody near', () => {
  const picture = new Picture(zones);
  const { profile, cluster } = picture;
  const plugin = profile.filters.find(({ name }) => name === 'InterPodAffinity');
  const wants = podFacts(podOf('web', near(term('db'))));
  const db = podFacts(podOf('db', {}, labelled('db')));
  const other = podFacts(podOf('x', {}, labelled('x')));
  assert.equal(plugin?.helps({ what: 'podPlaced', pod: db }, wants, cluster), true);
  assert.equal(plugin?.helps({ what: 'podPlaced', pod: other }, wants, cluster), false);
  assert.equal(plugin?.helps({ what: 'podGone', pod: db }, wants, cluster), false);
  const changed = { what: 'placedPodChanged', pod: db, old: other } as const;
  assert.equal(plugin?.helps(changed, wants, cluster), true);
});
