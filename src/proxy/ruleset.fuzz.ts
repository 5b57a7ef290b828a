/**
 * Random services come, change and go; after each step the table that the changes make is the one
 * that a load from nothing would make, and no rule or map leads to a chain that is not there.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Random, seededRandom, systemRandom } from '#kit/random.ts';
import type { Service } from '#resources/types/core-v1.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import { type Item, itemContent, itemId } from './item.ts';
import { type Changes, Ruleset } from './ruleset.ts';
import { planService } from './service-plan.ts';

const seed = Number(process.env['CORACLE_SEED'] ?? systemRandom().integer(2 ** 31));
const rounds = Number(process.env['CORACLE_FUZZ_ITERATIONS'] ?? 300);
const node = { nodeName: 'node-1', clusterCIDR: '10.42.0.0/16', family: 'IPv4' } as const;

function pick<T>(random: Random, choices: readonly T[]): T | undefined {
  return choices[random.integer(choices.length)];
}

function randomPlan(random: Random, number: number): readonly Item[] {
  const policy = (): string => (random.integer(2) === 0 ? 'Local' : 'Cluster');
  const protocol = pick(random, ['TCP', 'UDP']);
  const service: Service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'default', name: `service-${number}` },
    spec: {
      type: pick(random, ['ClusterIP', 'NodePort', 'LoadBalancer']),
      clusterIP: `10.43.0.${number}`,
      ports: [{ port: 80, protocol, nodePort: 30_000 + number }],
      sessionAffinity: pick(random, ['None', 'None', 'ClientIP']),
      externalTrafficPolicy: policy(),
      internalTrafficPolicy: policy(),
      externalIPs: random.integer(3) === 0 ? [`203.0.113.${number}`] : [],
      loadBalancerSourceRanges: random.integer(2) === 0 ? [] : ['198.51.100.0/24'],
    },
    status: { loadBalancer: { ingress: [{ ip: `203.0.114.${number}` }] } },
  };
  const endpoints = Array.from({ length: random.integer(4) }, () => ({
    addresses: [`10.42.0.${1 + random.integer(9)}`],
    nodeName: pick(random, ['node-1', 'node-2']),
    conditions: { ready: random.integer(4) > 0, serving: true, terminating: true },
  }));
  const slice: EndpointSlice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {},
    addressType: 'IPv4',
    endpoints,
    ports: [{ name: '', port: 8080, protocol }],
  };
  return planService(service, [slice], node).items;
}

/** The kernel's side: takes changes and refuses what it would refuse. */
class Table {
  readonly items = new Map<string, Item>();

  apply(changes: Changes): void {
    for (const { item, old } of changes.put) {
      const there = this.items.get(itemId(item));
      assert.equal(there && itemContent(there), old && itemContent(old), 'what was there is known');
      this.items.set(itemId(item), item);
    }
    for (const item of changes.remove) {
      assert.ok(this.items.delete(itemId(item)), 'only what is there can be removed');
    }
    for (const item of this.items.values()) this.#checkTargets(item);
  }

  #checkTargets(item: Item): void {
    const chains =
      item.kind === 'chain'
        ? item.rules.flatMap((rule) =>
            rule.do === 'goto' ? [rule.chain] : rule.do === 'spread' ? rule.chains : [],
          )
        : [itemContent(item)]
            .filter((text) => text.startsWith('goto '))
            .map((text) => text.slice(5));
    for (const chain of chains) assert.ok(this.items.has(`chain ${chain}`), `${chain} is there`);
  }

  text(): readonly string[] {
    return [...this.items].map(([id, item]) => `${id} = ${itemContent(item)}`).sort();
  }
}

function run(spoil: (changes: Changes) => Changes): void {
  const random = seededRandom(seed);
  const ruleset = new Ruleset();
  const table = new Table();
  const plans = new Map<number, readonly Item[]>();
  for (let round = 0; round < rounds; round++) {
    for (let touched = random.integer(3); touched >= 0; touched--) {
      const number = 1 + random.integer(8);
      if (random.integer(4) === 0) plans.delete(number);
      else plans.set(number, randomPlan(random, number));
      ruleset.replace(`default/service-${number}`, plans.get(number) ?? []);
    }
    const changes = ruleset.changes();
    table.apply(spoil(changes));
    ruleset.applied(changes);
    const whole = new Table();
    for (const item of [...plans.values()].flat()) whole.items.set(itemId(item), item);
    assert.deepEqual(table.text(), whole.text());
  }
}

test(`differences lead where a load from nothing leads (seed ${seed})`, () => {
  run((changes) => changes);
});

test('canary: a forgotten removal is noticed', () => {
  assert.throws(() => run((changes) => ({ ...changes, remove: changes.remove.slice(1) })));
});
