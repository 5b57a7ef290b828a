/**
 * What a user types at a terminal: shells in containers and out of them again, pods that live as
 * long as their shell, ports and the API brought here or into a pod; and looking at things with
 * get, describe and logs, by every name that they have.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { freePort } from '#test/free-port.ts';
import {
  busybox,
  configMap,
  nginx,
  podOf,
  secret,
  service,
  shell,
  statusOf,
  stay,
  talker,
  type Walkthroughs,
  type WatchedCluster,
  webServer,
} from '#test/watched-cluster.ts';

const never = { restartPolicy: 'Never' } as const;

/** A program on a terminal of its own, to which lines are typed. */
class Terminal implements Disposable {
  readonly #child;
  readonly #walk: WatchedCluster;
  #text = '';

  constructor(walk: WatchedCluster, command: string) {
    this.#walk = walk;
    this.#child = spawn('script', ['-qec', command, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        this.#text += chunk.replaceAll('\r', '');
      });
    }
    // It may have ended by itself.
    this.#child.stdin.on('error', () => {});
  }

  type(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Waits for words that come after those that were waited for last. */
  async sees(what: RegExp): Promise<string> {
    await this.#walk.eventually(
      () => what.test(this.#text),
      () => `${what} in: ${this.#text}`,
    );
    const found = what.exec(this.#text);
    this.#text = this.#text.slice((found?.index ?? 0) + (found?.[0].length ?? 0));
    return found?.[1] ?? found?.[0] ?? '';
  }

  async ended(): Promise<number | null> {
    const child = this.#child;
    await this.#walk.eventually(() => child.exitCode !== null, 'the terminal is closed');
    return child.exitCode;
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}

function typed(walk: WatchedCluster): string {
  return `kubectl --kubeconfig ${walk.cluster.kubeconfig}`;
}

const curl = async (walk: WatchedCluster, ...args: readonly string[]): Promise<string> =>
  (await walk.run('curl', ['-sS', '--max-time', '30', ...args])).stdout;

export const terminal: Walkthroughs = {
  'exec -it: a prompt, the size of the terminal, the way out': async (walk) => {
    covers('CLI-180', 'CLI-338', 'CLI-447');
    superseded('CLI-372', { by: 'v1.31', now: 'the command comes after --, nowhere else' });
    await walk.create(
      service('neighbour', { selector: { app: 'neighbour' }, ports: [{ port: 80 }] }),
      podOf('neighbour', { containers: [webServer] }, { labels: { app: 'neighbour' } }),
      podOf('prompt', { containers: [shell(stay)] }),
    );
    const neighbour = await walk.untilReady('neighbour');
    const pod = await walk.untilReady('prompt');
    const exec = `${typed(walk)} exec -it prompt`;
    using shells = new Terminal(walk, `tty; stty rows 31 cols 91; exec ${exec} -- /bin/sh`);
    const device = await shells.sees(/(\/dev\/pts\/\d+)\n/);
    await shells.sees(/^\/ # /m);
    shells.type('stty size');
    await shells.sees(/^31 91\n/m);
    await walk.run('stty', ['-F', device, 'rows', '22', 'cols', '77']);
    await walk.eventually(async () => {
      shells.type('stty size');
      return /^22 77$/m.test(await shells.sees(/^\d+ \d+\n/m));
    }, 'the shell knows of its new size');
    for (const host of [neighbour.status?.podIP, 'neighbour']) {
      shells.type(`until wget -qO- http://${host}/; do sleep 1; done`);
      await shells.sees(/Welcome aboard/);
    }
    shells.type(`ping -c 1 ${pod.status?.hostIP}`);
    await shells.sees(/1 packets received/);
    shells.type('exit 7');
    assert.equal(await shells.ended(), 7);
    const failed = await walk.tryKubectl('exec', 'prompt', '--', 'false');
    assert.equal(failed.code, 1);
    assert.equal(failed.stderr, 'command terminated with exit code 1\n');
    const bare = await walk.tryKubectl('exec', '-it', 'prompt', 'sh');
    assert.match(bare.stderr, /exec \[POD\] \[COMMAND\] is not supported anymore/);
  },

  'attach -it: to the shell that is there': async (walk) => {
    covers('CLI-283');
    const ask = 'while read line; do echo "heard $line"; done';
    const interactive = { stdin: true, tty: true };
    await walk.create(podOf('attached', { containers: [shell(ask, interactive)] }));
    await walk.untilReady('attached');
    using attached = new Terminal(walk, `${typed(walk)} attach -it attached`);
    await attached.sees(/If you don't see a command prompt, try pressing enter\./);
    attached.type('one');
    await attached.sees(/^heard one$/m);
    // It is the kubelet that answers: other requests have an Audit-Id, those passed on have none.
    const port = await freePort();
    const proxy = walk.cluster.spawnKubectl('proxy', `--port=${port}`, '--disable-filter=true');
    await walk.eventually(() => /Starting to serve/.test(proxy.text()), proxy.text);
    const pod = `http://127.0.0.1:${port}/api/v1/namespaces/default/pods/attached`;
    const head = (path: string, headers: Readonly<Record<string, string>>) =>
      new Promise<IncomingMessage>((resolve, reject) => {
        const asked = request(`${pod}${path}`, { headers, agent: false });
        const done = (answer: IncomingMessage): void => {
          answer.socket.destroy();
          resolve(answer);
        };
        asked.on('upgrade', done).on('response', done).on('error', reject).end();
      });
    const passed = await head('/attach?stdout=1&tty=1', {
      ...{ Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Protocol': 'v5.channel.k8s.io',
    });
    assert.equal(passed.statusCode, 101);
    assert.equal(passed.headers['audit-id'], undefined);
    assert.match(String((await head('', {})).headers['audit-id']), /^[0-9a-f-]{36}$/);
    proxy.kill();
  },

  'run: pods that live as long as what is typed to them': async (walk) => {
    covers('CLI-219', 'CLI-426');
    const prompt = "If you don't see a command prompt, try pressing enter.";
    const now = `it waits without words, then says "${prompt}"`;
    for (const row of ['CLI-286', 'CLI-316', 'CLI-434']) superseded(row, { by: 'v1.18', now });
    superseded('CLI-004', { by: 'v1.18', now: 'run makes a bare pod; there are no generators' });
    const run = `${typed(walk)} run`;
    const flags = `--rm -ti --image=${busybox} --labels=access=true`;
    using session = new Terminal(walk, `${run} typed-1 ${flags} /bin/sh`);
    await session.sees(/If you don't see a command prompt, try pressing enter\./);
    session.type('hostname');
    await session.sees(/^typed-1$/m);
    const labelled = await walk.kubectl('get', 'pod', '-l', 'access=true', '-o', 'name');
    assert.equal(labelled, 'pod/typed-1\n');
    const owners = ['get', 'pod', 'typed-1', '-o', 'jsonpath={.metadata.ownerReferences}'];
    assert.equal(await walk.kubectl(...owners), '', 'it is nobody else that keeps it');
    session.type('exit');
    await session.sees(/pod "typed-1" deleted/);
    await walk.untilGone('typed-1');

    using dns = new Terminal(
      walk,
      `${run} -i --tty --image ${busybox} dns-test --restart=Never --rm /bin/sh`,
    );
    await dns.sees(/If you don't see a command prompt, try pressing enter\./);
    dns.type('nslookup kubernetes.default.svc.cluster.local');
    await dns.sees(/Address: 10\.43\.0\.1$/m);
    dns.type('exit');
    await dns.sees(/pod "dns-test" deleted/);
    await walk.untilGone('dns-test');

    const client = ['run', 'mysql-client', `--image=${busybox}`, '-i', '--rm', '--restart=Never'];
    const piped = await walk.cluster.kubectlWith(
      { input: 'CREATE DATABASE test;\nINSERT 1;\n' },
      ...client,
      ...['--', 'sh', '-c', 'while read line; do echo "did $line"; done'],
    );
    assert.equal(piped.code, 0, piped.stderr);
    assert.match(piped.stdout, /^did CREATE DATABASE test;\ndid INSERT 1;$/m);
    assert.match(piped.stdout, /^pod "mysql-client" deleted/m);
    assert.doesNotMatch(piped.stderr + piped.stdout, /Waiting for pod/);

    await walk.kubectl('run', 'bare', `--image=${nginx}`);
    await walk.untilReady('bare');
    assert.match(await walk.kubectl('get', 'pods', 'bare'), /^bare +1\/1 +Running /m);
    const old = ['run', 'bare-2', `--image=${nginx}`, '--generator=run-pod/v1'];
    assert.match((await walk.tryKubectl(...old)).stderr, /unknown flag: --generator/);
    // Its image says "entry" by itself.
    const own = ['run', 'own-command', `--image=${talker}`, '--restart=Never', '--command'];
    await walk.kubectl(...own, '--', '/bin/sh', '-c', 'echo mine');
    await walk.untilEnded('own-command');
    assert.equal(await walk.logs('own-command'), 'mine\n');
  },

  'port-forward and proxy, here and in a pod': async (walk) => {
    covers('CLI-223', 'CLI-233', 'CLI-285', 'CLI-297', 'NET-025');
    const program = (await walk.run('which', ['kubectl'])).stdout.trim();
    await walk.create(
      service('behind-proxy', { selector: { app: 'behind-proxy' }, ports: [{ port: 80 }] }),
      podOf('behind-proxy', { containers: [webServer] }, { labels: { app: 'behind-proxy' } }),
      podOf('with-proxy', {
        containers: [
          shell(stay),
          {
            ...{ name: 'proxy', image: busybox, command: ['/kubectl', 'proxy'] },
            volumeMounts: [{ name: 'kubectl', mountPath: '/kubectl', readOnly: true }],
          },
        ],
        volumes: [{ name: 'kubectl', hostPath: { path: program, type: 'File' } }],
      }),
    );
    await walk.untilReady('behind-proxy');
    const port = await freePort();
    const forward = walk.cluster.spawnKubectl('port-forward', 'behind-proxy', `${port}:80`);
    const both = ['127\\.0\\.0\\.1', '\\[::1\\]'].map(
      (host) => new RegExp(`^Forwarding from ${host}:${port} -> 80$`, 'm'),
    );
    await walk.eventually(() => both.every((each) => each.test(forward.text())), forward.text);
    for (const host of ['127.0.0.1', '[::1]']) {
      assert.match(await curl(walk, '-g', `http://${host}:${port}/`), /Welcome aboard/);
    }
    forward.kill();

    const proxyPort = await freePort();
    const proxy = walk.cluster.spawnKubectl('proxy', `--port=${proxyPort}`);
    await walk.eventually(() => /Starting to serve/.test(proxy.text()), proxy.text);
    const path = '/api/v1/namespaces/default/services/behind-proxy/proxy/';
    const proxied = () => curl(walk, `http://localhost:${proxyPort}${path}`);
    await walk.answer(proxied, /Welcome aboard/);
    const api = `http://localhost:${proxyPort}/api/v1`;
    const ofPod = await curl(walk, `${api}/namespaces/default/pods/behind-proxy/proxy/`);
    assert.match(ofPod, /Welcome aboard/);
    assert.equal(await curl(walk, `${api}/nodes/${walk.nodeName}/proxy/healthz`), 'ok');
    proxy.kill();

    await walk.untilReady('with-proxy');
    const inside = ['exec', 'with-proxy', '-c', 'main', '--', 'wget', '-qO-'];
    const versions = async (): Promise<string> =>
      (await walk.tryKubectl(...inside, 'http://localhost:8001/api')).stdout;
    await walk.answer(versions, /"APIVersions"/);
    // What its account may read, without a token or a certificate of the one who asks.
    const pods = await walk.kubectl(
      ...inside,
      'http://localhost:8001/api/v1/namespaces/default/pods/with-proxy',
    );
    assert.match(pods, /"name": ?"with-proxy"/);
  },

  'get, describe, logs, exec: what is there, and what it says': async (walk) => {
    covers('CLI-361', 'CLI-384', 'CLI-369', 'CLI-019');
    await walk.create(
      podOf('seen', { containers: [{ name: 'web', image: nginx }] }, { labels: { app: 'seen' } }),
      podOf('both-streams', {
        ...never,
        containers: [shell('echo to stdout; echo to stderr >&2')],
      }),
      service('seen', {
        type: 'LoadBalancer',
        selector: { app: 'seen' },
        ports: [{ port: 80 }],
      }),
    );
    const pod = await walk.untilReady('seen');
    assert.match(await walk.kubectl('get', 'pod', 'seen'), /^seen +1\/1 +Running +0 /m);
    const describe = () => walk.kubectl('describe', 'pod', 'seen');
    const text = await walk.answer(describe, /Normal +Started /);
    assert.match(text, /^Name: +seen$/m);
    assert.match(text, new RegExp(`^Node: +${walk.nodeName}/${pod.status?.hostIP}$`, 'm'));
    const selected = await walk.kubectl('describe', 'pods', '-l', 'app=seen');
    assert.match(selected, /^Name: +seen$/m);
    assert.doesNotMatch(selected, /^Name: +both-streams$/m);
    const status = '{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}}';
    await walk.kubectl('patch', 'service', 'seen', '--subresource=status', '-p', status);
    const balanced = await walk.kubectl('describe', 'service', 'seen');
    assert.match(balanced, /^LoadBalancer Ingress: +192\.0\.2\.7/m);
    const page = () => walk.exec('seen', 'wget', '-qO-', 'http://localhost/');
    await walk.answer(page, /Welcome aboard/);
    await walk.answer(() => walk.logs('seen'), /"GET \/ HTTP\/1\.[01]" 200/);
    await walk.untilEnded('both-streams');
    const streams = (await walk.logs('both-streams')).trim().split('\n');
    assert.deepEqual(streams.toSorted(), ['to stderr', 'to stdout']);
  },

  'names: of three jobs, of all short forms, in any case': async (walk) => {
    covers('CLI-216', 'CLI-218', 'CLI-264');
    superseded('CLI-335', { by: 'v1.32', now: 'names in any case, short ones in small letters' });
    superseded('CLI-336', { by: 'v1.9', now: 'pod/NAME, in the singular' });
    const job = (item: string) => ({
      ...{ apiVersion: 'batch/v1', kind: 'Job' },
      metadata: { name: `process-item-${item}`, labels: { jobgroup: 'jobexample' } },
      spec: {
        completions: 2,
        parallelism: 2,
        template: {
          metadata: { labels: { jobgroup: 'jobexample' } },
          spec: { ...never, containers: [shell(`echo Processing item ${item}`)] },
        },
      },
    });
    await walk.create(...['apple', 'banana', 'cherry'].map(job));
    await walk.kubectl(
      ...['wait', '--for=condition=Complete', '--timeout=220s'],
      ...['job', '-l', 'jobgroup=jobexample'],
    );
    const names = await walk.kubectl('get', 'pods', '-l', 'jobgroup=jobexample', '-o', 'name');
    const all = names.trim().split('\n');
    assert.equal(all.length, 6);
    for (const name of all) assert.match(name, /^pod\/process-item-\w+-\w{5}$/);
    const said = await Promise.all(all.map((name) => walk.kubectl('logs', name)));
    const items = ['apple', 'banana', 'cherry'].map((item) => `Processing item ${item}\n`);
    assert.deepEqual([...new Set(said)].toSorted(), items);
    const [first = ''] = all;
    const plural = first.replace('pod/', 'pods/');
    assert.match(await walk.kubectl('logs', plural), /^Processing item /);
    assert.match(await walk.kubectl('get', plural), / Completed /);
    const created =
      /Normal +SuccessfulCreate +\S+ +job-controller +Created pod: process-item-apple-\w{5}/;
    const describe = () => walk.kubectl('describe', 'jobs/process-item-apple');
    const text = await walk.answer(describe, created);
    for (const line of [
      /^Name: +process-item-apple$/m,
      /^Parallelism: +2$/m,
      /^Completions: +2$/m,
      /^Start Time: +\w{3}, /m,
      /^Pods Statuses: +0 Active \(0 Ready\) \/ 2 Succeeded \/ 0 Failed$/m,
      /^Pod Template:\n +Labels: /m,
    ]) {
      assert.match(text, line);
    }
    await walk.kubectl('create', 'deployment', 'php-apache', `--image=${nginx}`);
    await walk.kubectl('autoscale', 'deployment', 'php-apache', '--cpu-percent=50', '--max=3');
    const short = ['ds', 'rs', 'ns', 'no', 'pv', 'svc', 'rc', 'po', 'deploy', 'ep', 'ing'];
    await Promise.all(short.map((name) => walk.kubectl('get', name)));
    const rcs = await walk.tryKubectl('get', 'rcs');
    assert.match(rcs.stderr, /the server doesn't have a resource type "rcs"/);
    superseded('CLI-049', {
      by: 'v1.9',
      now: 'the same, as the server tells them; there is no rcs',
    });
    for (const name of ['hpa', 'HorizontalPodAutoscalers', 'HORIZONTALPODAUTOSCALER']) {
      assert.match(await walk.kubectl('get', name, 'php-apache'), /^php-apache +Deployment\//m);
    }
    const node: { kind: string } = JSON.parse(
      await walk.kubectl('get', 'no', walk.nodeName, '-o', 'json'),
    );
    assert.equal(node.kind, 'Node');
    const capital = await walk.tryKubectl('get', 'HPA', 'php-apache');
    assert.match(capital.stderr, /the server doesn't have a resource type "HPA"/);
    const deleted = await walk.kubectl('delete', 'hpa', 'php-apache');
    assert.match(deleted, /^horizontalpodautoscaler\.autoscaling "php-apache" deleted/);
    await walk.kubectl('delete', 'deployment', 'php-apache');
  },

  'what a watch prints, and ages after a restart and after another pod': async (walk) => {
    covers('CLI-424', 'CLI-455');
    const spec = { serviceName: 'aged', replicas: 1, selector: { matchLabels: { app: 'aged' } } };
    const volumes = [{ name: 'late', configMap: { name: 'late' } }];
    const main = { ...shell(stay), volumeMounts: [{ name: 'late', mountPath: '/late' }] };
    const shown = { watched: 'aged' };
    const rows = walk.cluster.spawnKubectl(
      ...['get', 'pods', '-w', '-l', 'watched=aged', '--no-headers'],
    );
    // One that no node is for: once it is shown, what comes after it is.
    const unplaced = { nodeSelector: { is: 'nowhere' }, containers: [shell(stay)] };
    await walk.create(podOf('before-aged', unplaced, { labels: shown }));
    await walk.eventually(() => /^before-aged /m.test(rows.text()), rows.text);
    await walk.kubectl('delete', 'pod', 'before-aged');
    await walk.create({
      ...{ apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: 'aged' } },
      spec: {
        ...spec,
        template: {
          metadata: { labels: { app: 'aged', ...shown } },
          spec: { volumes, terminationGracePeriodSeconds: 1, containers: [main] },
        },
      },
    });
    // It has to wait for its ConfigMap, and is shown as waiting.
    await walk.eventually(() => /ContainerCreating/.test(rows.text()), rows.text);
    await walk.create(configMap('late', { a: 'b' }));
    const first = await walk.untilReady('aged-0');
    await walk.eventually(() => /1\/1 +Running/.test(rows.text()), rows.text);
    const states = rows.text().match(/(?<=^aged-0 +\d\/1 +)\w+/gm) ?? [];
    assert.match(states.join(' '), /^Pending( Pending)* ContainerCreating( \w+)* Running$/);
    assert.ok(states.length >= 4, 'made, bound, being made, running');
    await walk.kill('aged-0');
    const again = await walk.until(
      'aged-0',
      (each) => statusOf(each).restartCount === 1 && statusOf(each).ready,
      'up again',
    );
    const born = ({ metadata }: Pod) => [metadata.uid, metadata.creationTimestamp];
    assert.deepEqual(born(again), born(first));
    assert.match(await walk.kubectl('get', 'pod', 'aged-0'), /^aged-0 +1\/1 +Running +1 \(/m);
    await walk.kubectl('delete', 'pod', 'aged-0');
    const other = await walk.until(
      'aged-0',
      (each) => each.metadata.uid !== first.metadata.uid && statusOf(each).ready,
      'another',
    );
    assert.equal(statusOf(other).restartCount, 0);
    const since = (pod: Pod) => Date.parse(pod.metadata.creationTimestamp ?? '');
    assert.ok(since(other) >= Date.parse(statusOf(again).state?.running?.startedAt ?? ''));
    assert.match(await walk.kubectl('get', 'pod', 'aged-0'), /^aged-0 +1\/1 +Running +0 +\d+[sm]/m);
    rows.kill();
    await walk.kubectl('delete', 'statefulset', 'aged');
  },

  'another image, another answer; fewer pods, so that all have a place': async (walk) => {
    covers('CLI-370', 'CLI-282');
    await walk.kubectl('create', 'deployment', 'hello-node', `--image=${nginx}`);
    await walk.kubectl('expose', 'deployment', 'hello-node', '--port=80');
    const ip = await walk.kubectl('get', 'svc', 'hello-node', '-o', 'jsonpath={.spec.clusterIP}');
    await walk.kubectl('rollout', 'status', 'deployment/hello-node', '--timeout=220s');
    const page = (): Promise<string> => curl(walk, `http://${ip}/`);
    assert.doesNotMatch(await walk.answer(page, /Welcome aboard/), /again/);
    await walk.kubectl('set', 'image', 'deployment/hello-node', `nginx=${nginx}-alt`);
    await walk.kubectl('rollout', 'status', 'deployment/hello-node', '--timeout=220s');
    await walk.answer(page, /Welcome aboard, again/);
    await walk.kubectl('delete', 'service,deployment', 'hello-node');

    const port = await freePort();
    await walk.create({
      ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'crowded' } },
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: 'crowded' } },
        template: {
          metadata: { labels: { app: 'crowded' } },
          spec: {
            terminationGracePeriodSeconds: 1,
            containers: [shell(stay, { ports: [{ containerPort: 80, hostPort: port }] })],
          },
        },
      },
    });
    const listed = (): Promise<string> =>
      walk.kubectl('get', 'pods', '-l', 'app=crowded', '--no-headers');
    await walk.answer(listed, /^(?=[\s\S]* Pending )(?=[\s\S]* Running )/);
    await walk.kubectl('scale', 'deployment', 'crowded', '--replicas=1');
    await walk.answer(listed, /^crowded-\S+ +1\/1 +Running .*\n$/);
    await walk.kubectl('delete', 'deployment', 'crowded');
  },

  'secrets: the token of an account, and all of them written anew': async (walk) => {
    covers('CLI-222', 'CLI-300');
    await walk.kubectl('create', 'namespace', 'rewritten');
    await walk.create({
      ...{ apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/service-account-token' },
      metadata: {
        name: 'account-token',
        annotations: { 'kubernetes.io/service-account.name': 'default' },
      },
    });
    const describe = (): Promise<string> => walk.kubectl('describe', 'secret', 'account-token');
    const text = await walk.answer(describe, /^token: +(\S+)$/m);
    const token = /^token: +(\S+)$/m.exec(text)?.[1] ?? '';
    const { apiPort } = walk.cluster;
    const url = `https://127.0.0.1:${apiPort}/api/v1/namespaces/default/pods?limit=1`;
    const listed = await curl(walk, '-k', '-H', `Authorization: Bearer ${token}`, url);
    assert.match(listed, /"kind": ?"PodList"/);

    const named = (name: string) => ({
      ...secret(name, { password: name }),
      metadata: { name, namespace: 'rewritten' },
    });
    await walk.create(named('still'), named('changed'));
    const list = await walk.kubectl('get', 'secrets', '--all-namespaces', '-o', 'json');
    const stale = join(walk.cluster.folder, 'secrets.json');
    writeFileSync(stale, list);
    const label = ['label', 'secret', '-n', 'rewritten', 'changed', 'since=then'];
    await walk.kubectl(...label);
    const replaced = await walk.tryKubectl('replace', '-f', stale);
    assert.equal(replaced.code, 1);
    assert.match(replaced.stdout, /^secret\/still replaced$/m);
    assert.doesNotMatch(replaced.stdout, /^secret\/changed replaced$/m);
    assert.match(replaced.stderr, /secrets "changed": the object has been modified/);
    const piped = `${typed(walk)} get secrets -n rewritten -o json | ${typed(walk)} replace -f -`;
    const anew = await walk.run('sh', ['-c', piped]);
    assert.equal(anew.code, 0, anew.stderr);
    assert.match(anew.stdout, /^secret\/changed replaced$/m);
  },

  'what was applied last, lists that are merged, services of the cluster': async (walk) => {
    const kept = 'replace keeps it with --save-config, or where the file itself has it';
    superseded('CLI-130', { by: 'v1.32', now: kept });
    const merged =
      'finalizers are merged, since their type says so; other plain lists are replaced';
    superseded('CLI-407', { by: 'v1.9', now: merged });
    superseded('CLI-002', { by: 'v1.20', now: 'it is the control plane that is running' });
    const file = join(walk.cluster.folder, 'declared.yaml');
    const declare = (word: string, finalizers: readonly string[] = []): string => {
      const metadata = { name: 'declared', finalizers };
      const manifest = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { word } };
      writeFileSync(file, JSON.stringify(manifest));
      return file;
    };
    const saved = async (): Promise<string> => {
      const path = '{.metadata.annotations.kubectl\\.kubernetes\\.io/last-applied-configuration}';
      return await walk.kubectl('get', 'cm', 'declared', '-o', `jsonpath=${path}`);
    };
    await walk.kubectl('create', '-f', declare('first'), '--save-config');
    assert.match(await saved(), /"word":"first"/);
    await walk.kubectl('replace', '--save-config', '-f', declare('second'));
    assert.match(await saved(), /"word":"second"/);
    const edit = `KUBE_EDITOR='sed -i s/second/third/' ${typed(walk)} edit cm declared`;
    const edited = await walk.run('sh', ['-c', edit]);
    assert.equal(edited.code, 0, edited.stderr);
    assert.match(await saved(), /"word":"third"/);

    await walk.kubectl('apply', '-f', declare('fourth', ['example.com/mine']));
    const other = '{"metadata":{"finalizers":["example.com/mine","example.com/other"]}}';
    await walk.kubectl('patch', 'cm', 'declared', '--type=merge', '-p', other);
    await walk.kubectl('apply', '-f', declare('fifth', ['example.com/mine', 'example.com/more']));
    const path = 'jsonpath={.metadata.finalizers[*]}';
    const all = (await walk.kubectl('get', 'cm', 'declared', '-o', path)).split(' ').toSorted();
    assert.deepEqual(all, ['example.com/mine', 'example.com/more', 'example.com/other']);
    const none = '{"metadata":{"finalizers":null}}';
    await walk.kubectl('patch', 'cm', 'declared', '--type=merge', '-p', none);

    const labels = { 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'Heapster' };
    await walk.create({
      ...service('heapster', { ports: [{ port: 80 }] }),
      metadata: { name: 'heapster', namespace: 'kube-system', labels },
    });
    const colours = new RegExp(`${String.fromCharCode(27)}\\[[\\d;]*m`, 'g');
    const told = (await walk.kubectl('cluster-info')).replaceAll(colours, '');
    const url = `https://127.0.0.1:${walk.cluster.apiPort}`;
    assert.ok(told.startsWith(`Kubernetes control plane is running at ${url}\n`), told);
    const proxied = `${url}/api/v1/namespaces/kube-system/services/heapster/proxy`;
    assert.ok(told.includes(`\nHeapster is running at ${proxied}\n`), told);
  },

  'nodes are described with what happened to them': async (walk) => {
    covers('CLI-176');
    const at = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const message = 'Memory cgroup out of memory: Kill process 4481 (stress) score 1994';
    // As a watcher of the kernel's log tells it: no component of Kubernetes does.
    await walk.create({
      ...{ apiVersion: 'v1', kind: 'Event', type: 'Warning', reason: 'OOMKilling', message },
      metadata: { name: `${walk.nodeName}.oom`, namespace: 'default' },
      involvedObject: { kind: 'Node', name: walk.nodeName, uid: walk.nodeName },
      source: { component: 'kernel-monitor', host: walk.nodeName },
      ...{ firstTimestamp: at, lastTimestamp: at, count: 1 },
    });
    const text = await walk.kubectl('describe', 'nodes');
    assert.match(text, new RegExp(`^Name: +${walk.nodeName}$`, 'm'));
    const told = /Warning +OOMKilling +\S+ +kernel-monitor +Memory cgroup out of memory: Kill/;
    assert.match(text, told);
    assert.match(text, /Normal +NodeReady +\S+ +kubelet +Node \S+ status is now: NodeReady/);
  },
};
