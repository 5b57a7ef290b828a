/** Flow schemas and priority levels: defaults, refusals, status, lists. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { updated, written } from '#test/descriptor.ts';
import type { FlowSchema, PriorityLevelConfiguration } from '../types/flowcontrol-v1.ts';

function create<T extends KubeObject>(kind: string, spec: object) {
  const apiVersion = 'flowcontrol.apiserver.k8s.io/v1';
  return written<T>({ apiVersion, kind, metadata: { name: 'one' }, spec });
}

const schema = (spec: object) => create<FlowSchema>('FlowSchema', spec);
const level = (spec: object) =>
  create<PriorityLevelConfiguration>('PriorityLevelConfiguration', spec);

const priorityLevelConfiguration = { name: 'workload-low' };
const rule = {
  subjects: [{ kind: 'Group', group: { name: 'system:authenticated' } }],
  nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['/healthz'] }],
};

test('a schema of the middle, without conditions', () => {
  const { hub, errors, cells } = schema({ priorityLevelConfiguration, rules: [rule] });
  assert.deepEqual(errors, []);
  assert.equal(hub.spec?.matchingPrecedence, 1000);
  const row = cells(0);
  assert.equal(row['PriorityLevel'], 'workload-low');
  assert.equal(row['DistinguisherMethod'], '<none>');
  assert.equal(row['MissingPL'], '?');
  const status = { conditions: [{ type: 'Dangling', status: 'False' }] };
  const next = updated<FlowSchema>({ ...hub, status }, hub, 'status');
  assert.equal(next.cells(0)['MissingPL'], 'False');
  assert.deepEqual(updated<FlowSchema>({ ...hub, status }, hub).hub.status, {});
});

test('schemas that are refused', () => {
  const cases: readonly [object, string][] = [
    [
      { matchingPrecedence: 10_001 },
      'spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000',
    ],
    [
      { distinguisherMethod: { type: 'ByMood' } },
      'spec.distinguisherMethod.type: Unsupported value: {"Type":"ByMood"}: supported values: "ByNamespace", "ByUser"',
    ],
    [
      { priorityLevelConfiguration: { name: '' } },
      'spec.priorityLevelConfiguration.name: Required value: must reference a priority level',
    ],
    [
      { rules: [{ subjects: [] }] },
      'spec.rules[0].subjects: Required value: subjects must contain at least one value|spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty',
    ],
    [
      { rules: [{ ...rule, subjects: [{ kind: 'User' }] }] },
      "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
    ],
    [
      {
        rules: [
          { ...rule, resourceRules: [{ verbs: ['*', 'get'], apiGroups: ['*'], resources: ['*'] }] },
        ],
      },
      'spec.rules[0].resourceRules[0].verbs: Invalid value: ["*","get"]: if \'*\' is present, must not specify other verbs|spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace',
    ],
  ];
  for (const [spec, text] of cases) {
    assert.equal(schema({ priorityLevelConfiguration, ...spec }).errors.join('|'), text);
  }
});

test('levels queue in a common way unless they say otherwise', () => {
  const { hub, errors, cells } = level({
    type: 'Limited',
    limited: { limitResponse: { type: 'Queue', queuing: {} } },
  });
  assert.deepEqual(errors, []);
  assert.deepEqual(hub.spec?.limited, {
    nominalConcurrencyShares: 30,
    lendablePercent: 0,
    limitResponse: { type: 'Queue', queuing: { queues: 64, handSize: 8, queueLengthLimit: 50 } },
  });
  const { Queues, HandSize, QueueLengthLimit, NominalConcurrencyShares } = cells(0);
  assert.deepEqual([NominalConcurrencyShares, Queues, HandSize, QueueLengthLimit], [30, 64, 8, 50]);
  const exempt = level({ type: 'Exempt' });
  assert.deepEqual(exempt.hub.spec?.exempt, { nominalConcurrencyShares: 0, lendablePercent: 0 });
  assert.equal(exempt.cells(0)['Queues'], '<none>');
});

test('levels that are refused', () => {
  const limited = (limitResponse: object) => level({ type: 'Limited', limited: { limitResponse } });
  const at = 'spec.limited.limitResponse';
  assert.deepEqual(level({ type: 'Some' }).errors, [
    'spec.type: Unsupported value: "Some": supported values: "Exempt", "Limited"',
  ]);
  assert.deepEqual(level({ type: 'Limited' }).errors, [
    'spec.limited: Required value: must not be empty when type is Limited',
  ]);
  assert.deepEqual(limited({ type: 'Drop' }).errors, [
    `${at}.type: Unsupported value: "Drop": supported values: "Queue", "Reject"`,
  ]);
  assert.deepEqual(limited({ type: 'Queue', queuing: { queues: 2, handSize: 3 } }).errors, [
    `${at}.queuing.handSize: Invalid value: 3: should not be greater than queues (2)`,
  ]);
});
