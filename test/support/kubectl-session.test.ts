/** Sessions as they are read, and what of a transcript is made equal. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatTranscript,
  normalise,
  parseSession,
  parseTranscript,
  rowsOf,
  unlikePrinted,
  withoutChance,
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

test('a session waits, and holds what the documents print', () => {
  const text = '$ a\n| NAME  AGE\n- x 1\n+ x 1/1\n: test 1\n$ b\n- gone\n';
  const steps = parseSession(text);
  const printed = [
    { is: 'still', text: 'NAME  AGE' },
    { is: 'gone', text: 'x 1' },
    { is: 'new', text: 'x 1/1' },
  ];
  assert.deepEqual(steps, [
    { do: 'run', command: 'a', printed },
    { do: 'until', command: 'test 1' },
    { do: 'run', command: 'b', printed: [{ is: 'gone', text: 'gone' }] },
  ]);
  assert.deepEqual(unlikePrinted(steps, ['$ a\nNAME   AGE\nx   1/1', '$ b\nelse']), []);
  assert.deepEqual(unlikePrinted(steps, ['$ a\nx 1/1\nNAME AGE\nx 1', '$ b\ngone']), [
    '$ a: still prints x 1',
    '$ a: does not print x 1/1',
    '$ b: still prints gone',
  ]);
});

test('names that controllers make up are replaced, and no others', () => {
  const replaced = (name: string): string => withoutChance(`NAME  AGE\n${name}  1/1  12m\n`);
  const names = {
    'web-6c47f4b4f4-vtmhl': 'web-HASH-RANDOM',
    'web-6c47f4b4f4': 'web-HASH',
    'pi-v9svf': 'pi-RANDOM',
    'hello-29394047': 'hello-MINUTE',
    'hello-29754267': 'hello-MINUTE',
    'hello-29754267-vtmhl': 'hello-MINUTE-RANDOM',
    'web-0': 'web-0',
  };
  for (const [name, expected] of Object.entries(names)) {
    assert.equal(replaced(name), `NAME  AGE\n${expected}  1/1  AGE\n`);
  }
  const kept = 'process-item-apple  fluentd-elasticsearch  nginx-slim:0.8\n  cpu:  100m\n';
  assert.equal(withoutChance(kept), kept);
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
    normalise('hello  324d  5 (2y3d ago)  3y  process-7d', '/tmp/x'),
    'hello  AGE  5 (AGE ago)  AGE  process-7d',
  );
  assert.equal(
    normalise('a  2m\nb  3m  said\nc  100m  2m1', '/x'),
    'a  AGE\nb  AGE  said\nc  100m  2m1',
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
