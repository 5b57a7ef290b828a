/** What a resize may change of a pod, and what is said of the rest. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import type { Pod, PodSpec } from '#resources/types/core-v1.ts';
import { resizeUpdate } from './resize.ts';

test('what is resized of a pod is its containers’ and its own CPU and memory', () => {
  const amounts = (cpu: string) => ({ requests: { cpu, memory: '1Mi' } });
  const policy = (restartPolicy: string) => [{ resourceName: 'cpu', restartPolicy }];
  const main = { name: 'main', resources: amounts('1') };
  const spec = {
    containers: [main],
    initContainers: [
      { name: 'plain', resources: amounts('1') },
      { name: 'side', restartPolicy: 'Always', resources: amounts('1') },
      { name: 'anew', resources: amounts('1'), resizePolicy: policy('RestartContainer') },
    ],
  };
  const podOf = (given: PodSpec, status = {}): Pod => ({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' } },
    ...{ spec: given, status: { qosClass: 'Burstable', ...status } },
  });
  const old = podOf(spec);
  const context = { now: '', user: 'ann', random: seededRandom(1) };
  const problems = (change: Partial<PodSpec>, before = old): readonly string[] => {
    const given = podOf({ ...spec, ...before.spec, ...change });
    const next = resizeUpdate.prepare(given, before, context);
    return resizeUpdate.validate(next, before).map(({ field, detail }) => `${field}: ${detail}`);
  };
  const [plain = main, side = main, anew = main] = spec.initContainers;
  const more = { resources: amounts('2') };
  const first = [{ ...plain, ...more }, { ...side, ...more }, anew];
  assert.deepEqual(problems({ containers: [{ ...main, ...more }], initContainers: first }), []);
  assert.deepEqual(problems({ resources: amounts('5') }), []);
  assert.deepEqual(problems({ initContainers: [plain, side, { ...anew, ...more }] }), [
    'spec.initContainers[2]: non-sidecar init containers with a resize policy of ' +
      'RestartContainer cannot be resized',
  ]);
  const disk = { resources: { requests: { ...amounts('1').requests, 'ephemeral-storage': '1' } } };
  assert.deepEqual(
    problems({
      containers: [{ ...main, ...disk }],
      initContainers: [{ ...plain, ...disk }, side, anew],
    }),
    [
      'spec: only cpu and memory resources are mutable',
      'spec.initContainers[0]: only cpu and memory resources for init or sidecar containers are mutable',
    ],
  );
  assert.deepEqual(problems({ initContainers: [side, plain, anew] }), [
    'spec.initContainers[0].name: initContainers may not be renamed or reordered on resize',
    'spec.initContainers[1].name: initContainers may not be renamed or reordered on resize',
  ]);
  assert.deepEqual(problems({ containers: [{ ...main, resizePolicy: policy('NotRequired') }] }), [
    'spec: only cpu and memory resources are mutable',
  ]);
  const whole = podOf({ ...spec, resources: { ...amounts('4'), limits: { memory: '4Mi' } } });
  assert.deepEqual(problems({ resources: undefined }, whole), [
    'spec.resources: pod-level resources cannot be removed',
  ]);
  assert.deepEqual(problems({ resources: { requests: { cpu: '4' } } }, whole), [
    'spec.resources.requests: pod-level resource requests cannot be removed',
    'spec.resources.limits: pod-level resource limits cannot be removed',
  ]);
  const huge = { ...whole.spec?.resources, limits: { memory: '4Mi', 'hugepages-2Mi': '2Mi' } };
  assert.deepEqual(problems({ resources: huge }, whole), [
    'spec: only cpu and memory resources are mutable at pod-level',
  ]);
  const silent = podOf(spec, { containerStatuses: [{ name: 'main', state: { running: {} } }] });
  assert.deepEqual(problems({ resources: amounts('5') }, silent), [
    'spec: Pod running on node without support for resize',
  ]);
  assert.deepEqual(
    problems({ resources: amounts('5') }, podOf({ ...spec, os: { name: 'windows' } })),
    [': windows pods cannot be resized'],
  );
});
