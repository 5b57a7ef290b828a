/**
 * The clients of other languages, with one and the same kubeconfig: Python's as Debian brings it
 * (`python3-kubernetes`), and Go's, which is what kubectl is made with. Nothing of them is adapted.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { openApiPort } from '#test/api-port.ts';
import { covers } from '#test/covers.ts';

const run = promisify(execFile);
const python = '/usr/bin/python3';
const isThere = existsSync('/usr/lib/python3/dist-packages/kubernetes/__init__.py');
const limitMs = 120_000;

/** What the documents print for it, and then what programs do besides. */
const script = `
import sys
from kubernetes import client, config, dynamic, watch
config.load_kube_config(sys.argv[1])
core = client.CoreV1Api()
for pod in core.list_pod_for_all_namespaces(watch=False).items:
    print("%s\\t%s\\t%s" % (pod.status.pod_ip, pod.metadata.namespace, pod.metadata.name))
metadata = client.V1ObjectMeta(name="a", labels={"from": "python"})
body = client.V1ConfigMap(metadata=metadata, data={"k": "1"})
made = core.create_namespaced_config_map("default", body)
print(made.metadata.creation_timestamp.tzinfo is not None)
print(core.patch_namespaced_config_map("a", "default", {"data": {"l": "2"}}).data)
stale = made
stale.data = {"k": "9"}
try:
    core.replace_namespaced_config_map("a", "default", stale)
except client.ApiException as problem:
    print(problem.status, problem.reason)
stream = watch.Watch()
maps = core.list_namespaced_config_map
for event in stream.stream(maps, "default", label_selector="from=python", timeout_seconds=60):
    print(event["type"], event["object"].metadata.name)
    if event["type"] == "ADDED":
        core.delete_namespaced_config_map("a", "default")
    else:
        stream.stop()
gone = watch.Watch()
try:
    for event in gone.stream(maps, "default", resource_version="1", timeout_seconds=60):
        print("heard of it")
except client.ApiException as problem:
    print(problem.status, problem.reason.split(":")[0])
kinds = dynamic.DynamicClient(client.ApiClient()).resources
print(kinds.get(api_version="apps/v1", kind="Deployment").name)
`;

test('Python and Go programs talk to the server with the same kubeconfig', {
  skip: isThere ? false : 'python3-kubernetes is not installed',
}, async (t) => {
  covers('API-022', 'API-117', 'API-137');
  await using port = await openApiPort();
  const folder = mkdtempSync(join(tmpdir(), 'coracle-clients-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const kubeconfig = join(folder, 'config');
  const program = join(folder, 'list.py');
  writeFileSync(kubeconfig, port.kubeconfig, { mode: 0o600 });
  writeFileSync(program, script);
  const { request, store } = port.server;
  const space = '/api/v1/namespaces/default';
  await request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  const containers = [{ name: 'main', image: 'a' }];
  await request('POST', `${space}/pods`, { metadata: { name: 'web-0' }, spec: { containers } });
  const status = { phase: 'Running', podIP: '10.42.0.5', podIPs: [{ ip: '10.42.0.5' }] };
  const placed = await request('PATCH', `${space}/pods/web-0/status`, { status });
  assert.equal(placed.status, 200);
  await store.compact(store.revision);
  const { stdout } = await run(python, [program, kubeconfig], { timeout: limitMs });
  assert.deepEqual(stdout.trimEnd().split('\n'), [
    '10.42.0.5\tdefault\tweb-0',
    'True',
    "{'k': '1', 'l': '2'}",
    '409 Conflict',
    'ADDED a',
    'DELETED a',
    '410 Expired',
    'deployments',
  ]);
  const columns = 'custom-columns=I:.status.podIP,S:.metadata.namespace,N:.metadata.name';
  const args = ['--kubeconfig', kubeconfig, 'get', 'pods', '-A', '--no-headers', '-o', columns];
  const listed = await run('kubectl', args, { timeout: limitMs });
  assert.deepEqual(listed.stdout.trim().split(/\s+/), ['10.42.0.5', 'default', 'web-0']);
});
