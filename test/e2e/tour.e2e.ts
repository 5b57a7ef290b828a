/**
 * The README's tour with the real kubectl on real containers, step by step: apply, look, talk to
 * it, scale, roll, crash; then our processes are killed, then containerd as well, and `up` goes on
 * with the same pods.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCommand } from '#kit/run-command.ts';
import { ClusterProcess } from '#test/cluster-process.ts';
import { covers } from '#test/covers.ts';
import { freePort } from '#test/free-port.ts';
import { stepsOf } from '#test/steps.ts';

interface PodView {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly status: {
    readonly podIP?: string;
    readonly containerStatuses?: readonly {
      readonly containerID: string;
      readonly restartCount: number;
      readonly ready: boolean;
      readonly state: { readonly running?: { readonly startedAt: string } };
    }[];
  };
}

const signal = new AbortController().signal;

async function curl(url: string): Promise<string> {
  const result = await runCommand('curl', ['-sS', '--max-time', '30', url], {
    signal,
    timeoutMs: 60_000,
  });
  return result.code === 0 ? result.stdout : `curl failed: ${result.stderr}`;
}

async function pods(cluster: ClusterProcess, selector: string): Promise<readonly PodView[]> {
  const text = await cluster.kubectl('get', 'pods', '-l', selector, '-o', 'json');
  // kubectl prints the list that the API server gave.
  return (JSON.parse(text) as { items: readonly PodView[] }).items;
}

/** What must not change when the cluster restarts around its containers. */
async function running(cluster: ClusterProcess): Promise<readonly unknown[]> {
  const all = [...(await pods(cluster, 'app=web'))];
  all.sort((a, b) => a.metadata.name.localeCompare(b.metadata.name));
  return all.map(({ metadata, status }) => ({
    uid: metadata.uid,
    podIP: status.podIP,
    containers: status.containerStatuses?.map(({ containerID, restartCount, state }) => ({
      containerID,
      restartCount,
      startedAt: state.running?.startedAt,
    })),
  }));
}

const page = /nginx|Welcome|coracle/i;

test('the tour of the README', { timeout: 480_000 }, async (t) => {
  await using cluster = await ClusterProcess.open();
  const step = stepsOf(t, async () => {
    const state = await cluster.tryKubectl('get', 'pods,services,endpointslices,events', '-A');
    return `${state.stdout}\n${cluster.logs()}`;
  });
  const allReady = (count: number) =>
    cluster.until(
      async () => {
        const list = await pods(cluster, 'app=web');
        const ready = list.filter(({ status }) => status.containerStatuses?.every((c) => c.ready));
        return list.length === count && ready.length === count;
      },
      { what: `${count} web pods Ready`, limitMs: 60_000 },
    );

  await step('npm run up', async () => {
    await cluster.up();
    const nodes = await cluster.kubectl('get', 'nodes');
    assert.match(nodes, / Ready /);
    assert.equal(await cluster.userContext(), 'coracle', 'the context of the user kubeconfig');
  });
  await step('a second up says so and exits 0', async () => {
    const again = await cluster.upAgain();
    assert.equal(again.code, 0);
    assert.match(again.stdout, /already running/);
  });
  await step('apply, three replicas Ready, watched', async () => {
    const watch = cluster.spawnKubectl('get', 'pods', '-o', 'wide', '-w');
    const applied = await cluster.kubectl('apply', '-f', 'examples/web/');
    assert.match(applied, /deployment.apps\/web created/);
    assert.match(applied, /service\/web created/);
    await cluster.kubectl('rollout', 'status', 'deployment/web', '--timeout=60s');
    await allReady(3);
    await cluster.until(() => (watch.text().match(/ 1\/1 +Running/g) ?? []).length >= 3, {
      what: () => `the watch shows three running pods:\n${watch.text()}`,
      limitMs: 60_000,
    });
    watch.kill();
  });
  await step('logs', async () => {
    const logs = ['logs', 'deployment/web'];
    await cluster.until(async () => /GET \//.test(await cluster.kubectl(...logs)), {
      what: 'the access log shows the probes',
      limitMs: 60_000,
    });
    const tail = await cluster.kubectl(...logs, '--tail=1');
    assert.equal(tail.trim().split('\n').length, 1);
  });
  await step('exec, with exit code and standard input', async () => {
    await cluster.kubectl('apply', '-f', 'examples/client/');
    await cluster.kubectl('wait', '--for=condition=Ready', 'pod/client', '--timeout=60s');
    const hello = await cluster.kubectl('exec', 'client', '--', 'echo', 'hello from inside');
    assert.equal(hello, 'hello from inside\n');
    const input = 'one\ntwo\n';
    const echoed = await cluster.kubectlWith({ input }, 'exec', '-i', 'client', '--', 'cat');
    assert.equal(echoed.stdout, input);
    const failed = await cluster.tryKubectl('exec', 'client', '--', 'sh', '-c', 'exit 7');
    assert.equal(failed.code, 7);
    const tty = await runCommand(
      'script',
      ['-qec', `kubectl --kubeconfig ${cluster.kubeconfig} exec -it client -- tty`, '/dev/null'],
      { signal, timeoutMs: 60_000, input: '' },
    );
    assert.match(tty.stdout, /\/dev\/pts\/\d+/);
  });
  await step('port-forward', async () => {
    const port = await freePort();
    const forward = cluster.spawnKubectl('port-forward', 'service/web', `${port}:80`);
    await cluster.until(() => forward.text().includes('Forwarding from'), {
      what: () => `port-forward is up: ${forward.text()}`,
      limitMs: 60_000,
    });
    assert.match(await curl(`http://127.0.0.1:${port}/`), page);
    forward.kill();
  });
  await step('through the NodePort, and by name from another pod', async () => {
    // The rules of the node follow its pods.
    const answers = async (ask: () => Promise<string>): Promise<void> => {
      let said = '';
      const isPage = async (): Promise<boolean> => {
        said = await ask();
        return page.test(said);
      };
      await cluster.until(isPage, { what: () => `a page: ${said}`, limitMs: 60_000 });
    };
    await answers(() => curl('http://127.0.0.1:30080/'));
    for (const name of ['web', 'web.default.svc.cluster.local']) {
      const wget = ['exec', 'client', '--', 'wget', '-qO-', `http://${name}`];
      await answers(async () => (await cluster.tryKubectl(...wget)).stdout);
    }
  });
  await step('scale', async () => {
    await cluster.kubectl('scale', 'deployment/web', '--replicas=5');
    await allReady(5);
    await cluster.kubectl('scale', 'deployment/web', '--replicas=3');
    await allReady(3);
  });
  await step('roll to another image and back', async () => {
    await cluster.kubectl('set', 'image', 'deployment/web', 'nginx=localhost/nginx:1.22-alt');
    await cluster.kubectl('rollout', 'status', 'deployment/web', '--timeout=60s');
    const image = [
      'get',
      'pods',
      '-l',
      'app=web',
      '-o',
      'jsonpath={.items[*].spec.containers[0].image}',
    ];
    await cluster.until(async () => !/nginx:1\.22( |$)/.test(await cluster.kubectl(...image)), {
      what: 'only pods of the new image are left',
      limitMs: 60_000,
    });
    await cluster.kubectl('rollout', 'undo', 'deployment/web');
    await cluster.kubectl('rollout', 'status', 'deployment/web', '--timeout=60s');
    await cluster.until(async () => !(await cluster.kubectl(...image)).includes('alt'), {
      what: 'only pods of the old image are left',
      limitMs: 60_000,
    });
    await allReady(3);
  });
  await step('a crashed container restarts', async () => {
    await cluster.kubectl('exec', 'client', '--', 'kill', '-TERM', '1');
    await cluster.until(
      async () => {
        const text = await cluster.kubectl('get', 'pod', 'client', '-o', 'json');
        const [status] = (JSON.parse(text) as PodView).status.containerStatuses ?? [];
        return status?.restartCount === 1 && status.ready;
      },
      { what: 'the client pod runs again, restarted once', limitMs: 60_000 },
    );
  });
  await step('our processes are killed: traffic goes on, pods are adopted', async () => {
    const before = await running(cluster);
    covers('HA-016');
    await cluster.kill({ containerd: false });
    assert.match(await curl('http://127.0.0.1:30080/'), page);
    // Nothing can be started, stopped or changed meanwhile.
    for (const change of [
      ['scale', 'deployment/web', '--replicas=1'],
      ['delete', 'pod/client'],
    ]) {
      assert.notEqual((await cluster.tryKubectl(...change)).code, 0);
    }
    await cluster.up();
    await allReady(3);
    assert.deepEqual(await running(cluster), before);
    assert.match(await curl('http://127.0.0.1:30080/'), page);
  });
  await step('containerd is killed as well: pods are adopted', async () => {
    const before = await running(cluster);
    await cluster.kill({ containerd: true });
    await cluster.up();
    await allReady(3);
    assert.deepEqual(await running(cluster), before);
    const byName = await cluster.kubectl('exec', 'client', '--', 'wget', '-qO-', 'http://web');
    assert.match(byName, page);
  });
  await step('stopped and started again: the same objects, the pods anew', async () => {
    const objects = ['get', 'deployment/web', 'service/web', 'pod/client'];
    const identity = [...objects, '-o', 'jsonpath={.items[*].metadata.uid}'];
    const before = await cluster.kubectl(...identity);
    const containers = async (): Promise<readonly string[]> => {
      const ids = 'jsonpath={.items[*].status.containerStatuses[*].containerID}';
      const read = ['get', 'pods', '-o', ids];
      return (await cluster.kubectl(...read)).split(' ').filter((id) => id !== '');
    };
    const earlier = new Set(await containers());
    assert.equal(earlier.size, 4);
    await cluster.stop();
    assert.deepEqual(await cluster.processes(), []);
    assert.notEqual(await cluster.userContext(), 'coracle');
    await cluster.up();
    // What the API says of pods is of before, until the node has looked.
    const areNew = async (): Promise<boolean> =>
      (await containers()).every((id) => !earlier.has(id));
    await cluster.until(areNew, { what: 'the containers are new', limitMs: 60_000 });
    await allReady(3);
    assert.equal(await cluster.kubectl(...identity), before);
    await cluster.kubectl('wait', '--for=condition=Ready', 'pod/client', '--timeout=60s');
    const byName = await cluster.kubectl('exec', 'client', '--', 'wget', '-qO-', 'http://web');
    assert.match(byName, page);
  });
  await step('delete', async () => {
    await cluster.kubectl('delete', '-f', 'examples/web/', '-f', 'examples/client/');
    await cluster.until(
      async () => (await cluster.kubectl('get', 'pods', '-o', 'name')).trim() === '',
      { what: 'no pod is left', limitMs: 60_000 },
    );
  });
  await step('stop', () => cluster.stop());
});
