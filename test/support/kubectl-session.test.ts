/** Sessions as they are read, and what of a transcript is made equal. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatTranscript,
  normalise,
  parseSession,
  parseTranscript,
  rowsOf,
} from './kubectl-session.ts';

test('a session is files and commands', () => {
  const text = '# why\n$ kubectl get pods\n<<< a/b.yaml\nkind: Pod\n---\n>>>\n\n$ true\n';
  assert.deepEqual(parseSession(text), [
    { do: 'run', command: 'kubectl get pods' },
    { do: 'file', name: 'a/b.yaml', text: 'kind: Pod\n---\n' },
    { do: 'run', command: 'true' },
  ]);
  assert.throws(() => parseSession('kubectl get pods'), /neither a command nor a file/);
  assert.throws(() => parseSession('<<< a\nx\n'), /has no end/);
});

test('a session says which rows it shows', () => {
  const text =
    '# why\n# covers CLI-001 CLI-002\n$ a\n# superseded CLI-003 CLI-004 by v1.18: else\n';
  assert.deepEqual(rowsOf(text), {
    covers: ['CLI-001', 'CLI-002'],
    superseded: [
      { id: 'CLI-003', by: 'v1.18', now: 'else' },
      { id: 'CLI-004', by: 'v1.18', now: 'else' },
    ],
  });
});

test('what differs from run to run is replaced, and nothing else', () => {
  const table = 'NAME   READY   AGE\nweb    1/1     3m5s\nkubernetes   10.0.0.1   443:30123/TCP  ';
  assert.equal(
    normalise(table, '/tmp/x'),
    'NAME  READY  AGE\nweb  1/1  AGE\nkubernetes  IP  443:NODEPORT/TCP',
  );
  const object = '  uid: 3b1a96a3-4ea8-4590-84ad-bddd51b69261\n  resourceVersion: "12"\n';
  assert.equal(normalise(object, '/tmp/x'), '  uid: UID\n  resourceVersion: "N"\n');
  assert.equal(
    normalise('at 2026-11-21T09:22:16Z in /tmp/x/a from https://127.0.0.1:6443/api', '/tmp/x'),
    'at TIME in FOLDER/a from SERVER/api',
  );
  assert.equal(
    normalise('spec.replicas: Invalid value: -1', '/tmp/x'),
    'spec.replicas: Invalid value: -1',
  );
});

test('a transcript comes back as it was', () => {
  const blocks = ['$ a\nx\n', '$ b\n\ny\nexit 1\n'];
  const parsed = parseTranscript(formatTranscript(blocks));
  assert.deepEqual(parsed, ['$ a\nx', '$ b\n\ny\nexit 1']);
});
