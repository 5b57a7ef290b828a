/** Each change of a node's conditions is said once, in upstream's words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NodeStatus } from '#resources/types/core-v1.ts';
import { planNodeEvents, schedulingEvent } from './node-events.ts';

const nodeName = 'n';
const nodeInfo = {
  ...{ architecture: '', containerRuntimeVersion: '', kernelVersion: '', kubeProxyVersion: '' },
  ...{ kubeletVersion: '', machineID: '', operatingSystem: '', osImage: '', systemUUID: '' },
};

function status(of: { ready: string; memory?: string; bootID?: string }): NodeStatus {
  const condition = (type: string, value: string) => ({ type, status: value });
  return {
    conditions: [
      condition('MemoryPressure', of.memory ?? 'False'),
      condition('DiskPressure', 'False'),
      condition('PIDPressure', 'False'),
      condition('Ready', of.ready),
    ],
    nodeInfo: { ...nodeInfo, bootID: of.bootID ?? 'a' },
  };
}

const reasonsOf = (before: NodeStatus | undefined, now: NodeStatus): readonly string[] =>
  planNodeEvents({ nodeName, before, now }).map(({ reason }) => reason);

test('a node that is new tells what it has, and that it is ready once it is', () => {
  const fine = ['NodeHasSufficientMemory', 'NodeHasNoDiskPressure', 'NodeHasSufficientPID'];
  assert.deepEqual(reasonsOf(undefined, status({ ready: 'False' })), fine);
  assert.deepEqual(reasonsOf(undefined, status({ ready: 'True' })), [...fine, 'NodeReady']);
  assert.deepEqual(reasonsOf(status({ ready: 'False' }), status({ ready: 'True' })), ['NodeReady']);
  assert.deepEqual(
    planNodeEvents({
      nodeName,
      before: status({ ready: 'Unknown' }),
      now: status({ ready: 'True' }),
    }),
    [{ type: 'Normal', reason: 'NodeReady', message: 'Node n status is now: NodeReady' }],
  );
});

test('what stays is not said again, what changes is', () => {
  const ready = status({ ready: 'True' });
  assert.deepEqual(reasonsOf(ready, ready), []);
  assert.deepEqual(reasonsOf(ready, status({ ready: 'False' })), ['NodeNotReady']);
  const pressed = status({ ready: 'True', memory: 'True' });
  assert.deepEqual(reasonsOf(ready, pressed), ['NodeHasInsufficientMemory']);
  assert.deepEqual(reasonsOf(pressed, ready), ['NodeHasSufficientMemory']);
  const [event] = planNodeEvents({
    nodeName,
    before: ready,
    now: status({ ready: 'True', bootID: 'b' }),
  });
  assert.deepEqual(event, {
    ...{ type: 'Warning', reason: 'Rebooted' },
    message: 'Node n has been rebooted, boot id: b',
  });
  assert.equal(schedulingEvent(nodeName, false).reason, 'NodeNotSchedulable');
  assert.equal(schedulingEvent(nodeName, true).message, 'Node n status is now: NodeSchedulable');
});
