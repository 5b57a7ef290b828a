/** Which shims belong to nobody. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ProcessFacts, planStrayShims } from './stray-shims.ts';

const socketPath = '/data/agent/containerd/containerd.sock';
const shim = '/usr/bin/containerd-shim-runc-v2 -namespace k8s.io';

function facts(pid: number, startedAt: number, text: string, parent = 1): ProcessFacts {
  return { pid, startedAt, parent, namespace: 'pid:[1]', command: text.split(' ') };
}

test('shims of this containerd in which nothing runs and that it has lost, and nothing else', () => {
  const processes = [
    facts(10, 100, '/usr/bin/containerd --config config.toml'),
    facts(20, 50, `${shim} -id used -address ${socketPath}`),
    facts(21, 60, '/pause', 20),
    facts(30, 50, `${shim} -id empty -address ${socketPath}`),
    facts(40, 150, `${shim} -id beginning -address ${socketPath}`),
    facts(50, 150, `${shim} -id late -address ${socketPath}`),
    facts(60, 50, `${shim} -id empty -address /run/containerd/containerd.sock`),
    facts(70, 50, `${shim} -address ${socketPath} -id empty start`),
    facts(80, 50, `grep -id empty -address ${socketPath}`),
    facts(90, 0, ''),
    { ...facts(95, 50, `${shim} -id within -address ${socketPath}`), namespace: 'pid:[2]' },
  ];
  const hasFolder = (id: string): boolean => id !== 'late';
  const options = { socketPath, hasFolder };
  assert.deepEqual(planStrayShims(processes, { ...options, containerd: 10 }), [30, 50]);
  // Without knowing how old it is, none is called lost.
  assert.deepEqual(planStrayShims(processes, { ...options, containerd: 11 }), []);
});
