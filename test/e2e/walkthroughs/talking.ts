/**
 * Talking to what runs: logs, exec, attach, port-forward, cp, debug; the raw proxy; and what is
 * kept of a container that is gone.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { covers, superseded } from '#test/covers.ts';
import { freePort } from '#test/free-port.ts';
import {
  busybox,
  condition,
  configMap,
  endFirst,
  Gate,
  isRunning,
  nginx,
  podOf,
  service,
  shell,
  stateOf,
  statusOf,
  stay,
  type Walkthroughs,
  webServer,
} from '#test/watched-cluster.ts';

const never = { restartPolicy: 'Never' } as const;
const count = 'i=0; while true; do echo "$i: $(date)"; i=$((i+1)); sleep 0.2; done';

/** A program that is told one line after another. */
function talkTo(command: string, args: readonly string[]) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  }
  // It may have ended by itself.
  child.stdin.on('error', () => {});
  return {
    say: (line: string): void => void child.stdin.write(`${line}\n`),
    text: (): string => text,
    end: (): void => void child.kill(),
  };
}

export const talking: Walkthroughs = {
  'a counter writes, kubectl reads': async (walk) => {
    covers('LOG-019', 'LOG-020', 'LOG-031', 'CLI-136', 'CLI-137', 'CLI-255', 'CLI-414', 'CLI-443');
    superseded('LOG-010', {
      by: 'v1.24',
      now: 'a line of CRI per line: time, stream, F or P, text',
    });
    const counter = podOf('counter', { containers: [shell(count, { name: 'count' })] });
    // Words to either stream, each after the last was read.
    const gate = new Gate(walk, 'streams');
    const words = `echo one; ${gate.wait('two')}; echo two >&2; ${gate.wait('three')}; echo three`;
    const talks = shell(words, { volumeMounts: [gate.mount] });
    await walk.create(
      counter,
      podOf('both-streams-in-order', { ...never, containers: [talks], volumes: [gate.volume] }),
    );
    const inOrder = () => walk.logs('both-streams-in-order');
    await walk.answer(inOrder, /^one\n$/);
    gate.open('two');
    await walk.answer(inOrder, /^one\ntwo\n$/);
    gate.open('three');
    await walk.answer(inOrder, /^one\ntwo\nthree\n$/);
    const pod = await walk.untilReady('counter');
    const text = await walk.answer(() => walk.logs('counter'), /^3: /m);
    assert.match(text, /^0: \w+ .*\n1: .*\n2: .*\n3: /);
    const file = join(
      walk.cluster.dataDir,
      `agent/pod-logs/default_counter_${pod.metadata.uid}/count/0.log`,
    );
    assert.match(readFileSync(file, 'utf8'), /^\d{4}-\d\d-\d\dT\S+(Z|[+-]\d\d:\d\d) stdout F 0: /);
    assert.match(
      await walk.logs('counter', '--timestamps', '--tail=1'),
      /^\d{4}-\d\d-\d\dT\S+Z \d+: /,
    );
    assert.ok((await walk.logs('counter', '--limit-bytes=5')).length <= 5);
    assert.equal(await walk.logs('counter', '--since-time=2100-01-01T00:00:00Z'), '');
    const twenty = (): Promise<string> => walk.logs('counter', '--tail', '20');
    // Twenty lines, and there were more.
    await walk.answer(twenty, /^(?!0: )(.*\n){20}$/);
    const follow = walk.cluster.spawnKubectl('logs', '-f', 'counter', '--tail=1');
    await walk.eventually(() => (follow.text().match(/\n/g) ?? []).length > 3, 'it follows');
    await walk.kill('counter');
    await walk.until(
      'counter',
      (each) => statusOf(each).restartCount === 1 && isRunning(each),
      'again',
    );
    const previous = await walk.logs('counter', '--previous');
    assert.match(previous, /^0: .*\n1: /);
    const tail = await walk.logs('counter', 'count', '--previous', '--tail=2');
    assert.equal(tail, `${previous.trim().split('\n').slice(-2).join('\n')}\n`);
    assert.notEqual(await walk.logs('counter'), previous);
    follow.kill();
    await walk.kubectl('delete', 'pod', 'counter');
    await walk.eventually(() => !existsSync(file), 'its log goes with it');
    await walk.create(counter);
    await walk.untilReady('counter');
    await walk.answer(() => walk.logs('counter'), /^0: /);
    const none = await walk.tryKubectl('logs', 'counter', '--previous');
    assert.match(none.stderr, /previous terminated container "count" in pod "counter" not found/);
  },

  'two files, two containers that stream them': async (walk) => {
    covers('LOG-016', 'CLI-254', 'CLI-020', 'LOG-006');
    superseded('CLI-138', { by: 'v1.24', now: 'without a name it is the first one, and is said' });
    const volumeMounts = [{ name: 'varlog', mountPath: '/var/log' }];
    const both =
      'i=0; while true; do echo "$i: one" >> /var/log/1.log; echo "two $i" >> /var/log/2.log; i=$((i+1)); sleep 0.2; done';
    const tail = (name: string, file: string) =>
      shell(`tail -n+1 -f /var/log/${file}`, { name, volumeMounts });
    await walk.create(
      podOf('two-files', {
        containers: [
          shell(`touch /var/log/1.log /var/log/2.log; ${both}`, { name: 'count', volumeMounts }),
          tail('count-log-1', '1.log'),
          tail('count-log-2', '2.log'),
        ],
        initContainers: [
          shell('touch /var/log/1.log /var/log/2.log', { name: 'first', volumeMounts }),
        ],
        volumes: [{ name: 'varlog', emptyDir: {} }],
      }),
      // Written to the device itself, not to what the shell calls standard output.
      podOf('to-the-device', {
        ...never,
        containers: [shell('echo by device > /dev/stdout; echo err > /dev/stderr')],
      }),
    );
    await walk.untilReady('two-files');
    await walk.answer(() => walk.logs('two-files', 'count-log-1'), /^0: one\n1: one\n/);
    await walk.answer(() => walk.logs('two-files', '-c', 'count-log-2'), /^two 0\ntwo 1\n/);
    assert.equal(await walk.logs('two-files', 'count'), '');
    const defaulted = await walk.tryKubectl('logs', 'two-files');
    assert.match(
      defaulted.stderr,
      /Defaulted container "count" out of: count, count-log-1, count-log-2, first \(init\)/,
    );
    const all = await walk.kubectl(
      'logs',
      'pods/two-files',
      '--all-containers',
      '--prefix',
      '--tail=1',
    );
    assert.match(all, /^\[pod\/two-files\/count-log-1\] \d+: one$/m);
    await walk.untilEnded('to-the-device');
    const written = await walk.logs('to-the-device');
    assert.deepEqual(written.trim().split('\n').sort(), ['by device', 'err']);
  },

  'exec: into which container, with what, and how it ended': async (walk) => {
    covers('POD-060', 'CLI-109', 'CLI-245', 'CLI-152', 'POD-198', 'CLI-022', 'CLI-074', 'CLI-023');
    for (const row of ['CLI-021', 'CLI-097']) {
      superseded(row, { by: 'v1.31', now: 'the command comes after --, nowhere else' });
    }
    await walk.create(
      podOf('shell-demo', {
        containers: [
          { ...webServer, name: 'nginx' },
          shell('while read line; do echo "heard $line"; done; sleep 86400', {
            name: 'listener',
            stdin: true,
          }),
        ],
      }),
    );
    await walk.untilReady('shell-demo');
    const exec = (...args: readonly string[]) => walk.tryKubectl('exec', 'shell-demo', ...args);
    const defaulted = await exec('--', 'ls', '/usr/share/nginx/html');
    assert.equal(defaulted.stdout, 'index.html\n');
    assert.match((await exec('ls')).stderr, /exec \[POD\] \[COMMAND\] is not supported anymore/);
    assert.match(defaulted.stderr, /Defaulted container "nginx" out of: nginx, listener/);
    assert.equal((await exec('-c', 'listener', '--', 'ls', '/usr/share/nginx')).code, 1);
    assert.equal((await exec('-c', 'nginx', '--', 'sh', '-c', 'exit 42')).code, 42);
    const none = await exec('-c', 'nginx', '--', 'no-such-program');
    assert.match(none.stderr, /executable file not found in \$PATH/);
    const unknown = await exec('-c', 'nobody', '--', 'true');
    assert.match(
      unknown.stderr,
      /container nobody not found in pod shell-demo_default|container nobody is not valid/,
    );
    const command = `kubectl --kubeconfig ${walk.cluster.kubeconfig} exec -it shell-demo -c nginx -- sh -c 'tty; stty size; exit 3'`;
    const tty = await walk.run('script', ['-qec', command, '/dev/null']);
    assert.match(tty.stdout, /\/dev\/pts\/\d/);
    assert.equal(tty.code, 3);
    const attached = talkTo('kubectl', [
      ...['--kubeconfig', walk.cluster.kubeconfig],
      ...['attach', '-i', 'shell-demo', '-c', 'listener'],
    ]);
    attached.say('one');
    await walk.eventually(() => /heard one/.test(attached.text()), attached.text);
    attached.end();
    const port = await freePort();
    const forward = walk.cluster.spawnKubectl('port-forward', 'shell-demo', `${port}:80`);
    const forwards = new RegExp(`^Forwarding from 127\\.0\\.0\\.1:${port} -> 80$`, 'm');
    await walk.eventually(() => forwards.test(forward.text()), forward.text);
    const page = () => walk.run('curl', ['-sS', '--max-time', '30', `http://127.0.0.1:${port}/`]);
    assert.match((await page()).stdout, /Welcome aboard/);
    forward.kill();
    await walk.answer(() => walk.logs('shell-demo', '-c', 'listener'), /^heard one$/m);
    const proxied = await walk.kubectl(
      'get',
      '--raw',
      '/api/v1/namespaces/default/pods/shell-demo/proxy/',
    );
    assert.match(proxied, /Welcome aboard/);
  },

  'cp: files and folders, there and back': async (walk) => {
    await walk.create(podOf('cp-demo', { containers: [shell(stay)] }));
    await walk.untilReady('cp-demo');
    const here = join(walk.cluster.folder, 'cp.bin');
    const content = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));
    writeFileSync(here, content);
    await walk.kubectl('cp', here, 'cp-demo:/tmp/there.bin');
    assert.equal(
      await walk.exec('cp-demo', 'wc', '-c', '/tmp/there.bin'),
      '300000 /tmp/there.bin\n',
    );
    await walk.kubectl('cp', 'default/cp-demo:/tmp/there.bin', `${here}.back`, '-c', 'main');
    assert.deepEqual(readFileSync(`${here}.back`), content);
    await walk.exec(
      'cp-demo',
      'sh',
      '-c',
      'mkdir -p /tmp/tree/deep; echo leaf > /tmp/tree/deep/leaf',
    );
    await walk.kubectl('cp', 'cp-demo:/tmp/tree', join(walk.cluster.folder, 'tree'));
    assert.equal(readFileSync(join(walk.cluster.folder, 'tree/deep/leaf'), 'utf8'), 'leaf\n');
  },

  'run: a pod that is gone when its shell ends': async (walk) => {
    covers('CLI-005');
    const now = "If you don't see a command prompt, try pressing enter.";
    for (const row of ['CLI-212', 'CLI-103']) superseded(row, { by: 'v1.5', now });
    const kubectl = `kubectl --kubeconfig ${walk.cluster.kubeconfig}`;
    const run = `${kubectl} run -i --rm --tty curl --image=${busybox} --restart=Never -- sh`;
    const session = talkTo('script', ['-qec', run, '/dev/null']);
    const heard = (what: RegExp): Promise<void> =>
      walk.eventually(() => what.test(session.text()), session.text);
    await heard(new RegExp(now));
    // The shell says what it is told, and then what comes of it.
    session.say('nslookup kubernetes.default.svc.cluster.local');
    await heard(/^Name:\s+kubernetes\.default\.svc\.cluster\.local/m);
    session.say('exit');
    await heard(/pod "curl" deleted/);
    session.end();
    await walk.untilGone('curl');
    const flags = '--restart=Never -i --attach=true --leave-stdin-open=true --rm=true';
    const command = `${kubectl} run once --image=${busybox} ${flags}`;
    // It waits for a word: what ends before it is attached to has said its own to nobody. And it
    // stays a little: containerd 1.6 drops the last words of what ends with its input left open.
    const program = 'read word; echo said $word; sleep 1';
    const asked = talkTo('sh', ['-c', `${command} -- sh -c '${program}'`]);
    asked.say('once');
    await walk.eventually(() => /pod "once" deleted/.test(asked.text()), asked.text);
    asked.end();
    assert.match(asked.text(), /^said once$/m);
    await walk.untilGone('once');
  },

  'debug: a container beside the others, a copy, the node': async (walk) => {
    await walk.create(
      podOf('ephemeral-demo', {
        containers: [{ name: 'web', image: nginx }],
        shareProcessNamespace: false,
      }),
    );
    await walk.untilReady('ephemeral-demo');
    const debug = ['debug', 'ephemeral-demo', `--image=${busybox}`, '--container=debugger'];
    const look = `until ps -o args | grep '[n]ginx: worker'; do usleep 100000; done; ps -o args`;
    await walk.kubectl(...debug, '--target=web', '--', 'sh', '-c', `${look}; ${stay}`);
    await walk.until(
      'ephemeral-demo',
      ({ status }) => status?.ephemeralContainerStatuses?.[0]?.state?.running !== undefined,
      'joined',
    );
    const seen = () => walk.logs('ephemeral-demo', '-c', 'debugger');
    assert.match(await walk.answer(seen, /nginx: master process/), /nginx: worker/);
    const inside = ['exec', 'ephemeral-demo', '-c', 'debugger', '--', 'wget', '-qO-', 'localhost'];
    assert.match(await walk.kubectl(...inside), /Welcome aboard/);
    const copy = [
      'debug',
      'ephemeral-demo',
      '--copy-to=copied',
      '--container=web',
      `--image=${busybox}`,
    ];
    await walk.kubectl(...copy, '--', 'sh', '-c', stay);
    const copied = await walk.until('copied', (pod) => condition(pod, 'Ready') === 'True', 'ready');
    assert.equal(copied.spec?.containers?.[0]?.image, busybox);
    const node = ['debug', `node/${walk.nodeName}`, `--image=${busybox}`, '--profile=sysadmin'];
    const made = await walk.kubectl(...node, '--', 'ls', '/host/proc/1/ns');
    const name = /node-debugger-\S+/.exec(made)?.[0] ?? (await newest(walk));
    await walk.untilEnded(name);
    assert.match(await walk.logs(name), /^net$/m);
    await walk.kubectl('delete', 'pod', name, 'copied', '--grace-period=1');
  },

  'a sidecar starts first, stays, and ends last': async (walk) => {
    const marks = [{ name: 'marks', mountPath: '/marks' }];
    const note = (word: string) => `echo ${word} >> /marks/order`;
    const main = `${note('main')}; sleep 1`;
    await walk.create(
      podOf('with-sidecar', {
        ...{ ...never, terminationGracePeriodSeconds: 30 },
        initContainers: [
          shell(
            `trap '${note('sidecar-term')}; exit 0' TERM; sleep 1; ${note('sidecar')}; touch /tmp/up; sleep 86400 & wait`,
            {
              ...{ name: 'sidecar', restartPolicy: 'Always', volumeMounts: marks },
              startupProbe: { exec: { command: ['test', '-e', '/tmp/up'] }, periodSeconds: 1 },
            },
          ),
          shell(note('init'), { name: 'init', volumeMounts: marks }),
        ],
        containers: [shell(main, { volumeMounts: marks })],
        volumes: [
          {
            name: 'marks',
            hostPath: { path: join(walk.cluster.folder, 'sidecar'), type: 'DirectoryOrCreate' },
          },
        ],
      }),
    );
    const pod = await walk.untilEnded('with-sidecar');
    assert.equal(pod.status?.phase, 'Succeeded');
    const ended = (each: Parameters<typeof stateOf>[0]) =>
      /^Terminated/.test(stateOf(each, 'sidecar'));
    await walk.until('with-sidecar', ended, 'over, the sidecar too');
    const order = readFileSync(join(walk.cluster.folder, 'sidecar/order'), 'utf8');
    assert.equal(order, 'sidecar\ninit\nmain\nsidecar-term\n');
  },

  'a static pod, from a file of the node': async (walk) => {
    covers('POD-040', 'POD-059');
    const folder = join(walk.cluster.dataDir, 'agent/pod-manifests');
    const manifest = podOf(
      'resource-reserver',
      {
        containers: [shell(stay, { resources: { limits: { cpu: '10m', memory: '20Mi' } } })],
      },
      { labels: { role: 'reserver' } },
    );
    writeFileSync(join(folder, 'reserver.yaml'), JSON.stringify(manifest));
    const name = `resource-reserver-${walk.nodeName}`;
    // One of the API beside the one of the file.
    const bound = { nodeName: walk.nodeName, containers: [shell(stay)] };
    await walk.create(podOf('bound', bound));
    for (const each of [name, 'bound']) await walk.untilReady(each);
    await walk.kubectl('delete', 'pod', 'bound');
    const listed = await walk.kubectl('get', 'pods', '-l', 'role=reserver', '-o', 'name');
    assert.equal(listed, `pod/${name}\n`);
    const text = await walk.kubectl('describe', 'node', walk.nodeName);
    assert.match(text, new RegExp(`default +${name} +10m .* 10m .* 20Mi .* 20Mi `));
    await walk.run('rm', [join(folder, 'reserver.yaml')]);
    await walk.untilGone(name);
  },

  'the Service of the API, from inside': async (walk) => {
    superseded('AUT-064', {
      by: 'v1.24',
      now: 'the token is that of the pod, or asked for; no Secret holds one unless it is made by hand',
    });
    covers('SVC-016', 'SVC-047', 'SVC-070', 'SVC-074', 'SVC-080');
    const list = await walk.kubectl('get', 'services');
    assert.match(list, /^kubernetes +ClusterIP +10\.43\.0\.1 +<none> +443\/TCP /m);
    await walk.create(podOf('api-client', { containers: [shell(stay)] }));
    await walk.untilReady('api-client');
    const lookup = ['nslookup', 'kubernetes.default.svc.cluster.local'];
    await walk.answer(() => walk.exec('api-client', ...lookup), /Address: 10\.43\.0\.1$/m);
    const token = await walk.exec(
      'api-client',
      'cat',
      '/var/run/secrets/kubernetes.io/serviceaccount/token',
    );
    const pid = await walk.pid('api-client');
    const ca = join(walk.cluster.folder, 'pod-ca.crt');
    writeFileSync(
      ca,
      await walk.exec('api-client', 'cat', '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt'),
    );
    const enter = (...curl: readonly string[]) =>
      walk.run('nsenter', [
        `--net=/proc/${pid}/ns/net`,
        'curl',
        '-sS',
        '--max-time',
        '30',
        '--cacert',
        ca,
        ...curl,
      ]);
    const header = [
      '-H',
      `Authorization: Bearer ${token}`,
      '--resolve',
      'kubernetes:443:10.43.0.1',
    ];
    const versions = await enter(...header, 'https://kubernetes/api');
    assert.match(versions.stdout, /"APIVersions"/, versions.stderr);
    await walk.kubectl('create', 'namespace', 'api-clients');
    const elsewhere = podOf(
      'api-client',
      { containers: [shell(stay)] },
      { namespace: 'api-clients' },
    );
    await walk.create(elsewhere);
    await walk.untilReady('api-clients/api-client');
    const other = await walk.pid('api-clients/api-client');
    const fromOther = ['-sS', '-k', '--max-time', '30', ...header, 'https://10.43.0.1/api'];
    const same = await walk.run('nsenter', [`--net=/proc/${other}/ns/net`, 'curl', ...fromOther]);
    assert.match(same.stdout, /"APIVersions"/, same.stderr);
  },

  'a name and an address for a Service, and for a pod of a set': async (walk) => {
    covers('POD-291', 'POD-293', 'DNS-044', 'DNS-003', 'DNS-019', 'DNS-020', 'DNS-030', 'DNS-032');
    covers('DNS-009', 'DNS-029', 'DNS-048', 'DNS-049', 'NET-030');
    covers('DNS-033', 'DNS-017', 'DNS-045', 'DNS-050', 'SVC-085', 'SVC-101', 'DNS-008', 'POD-071');
    superseded('DNS-016', { by: 'v1.7', now: 'the field alone; the annotation asks for nothing' });
    const annotations = {
      'pod.beta.kubernetes.io/hostname': 'of-the-annotation',
      'pod.beta.kubernetes.io/subdomain': 'of-the-annotation',
    };
    await walk.kubectl('create', 'namespace', 'far');
    await walk.create(
      service('sub', {
        clusterIP: 'None',
        selector: { app: 'sub' },
        ports: [{ name: 'foo', port: 1234 }],
      }),
      service('no-ports', { clusterIP: 'None', selector: { app: 'set' } }),
      podOf(
        'named-pod',
        { hostname: 'busybox-1', subdomain: 'sub', containers: [shell(stay)] },
        { labels: { app: 'sub' }, annotations },
      ),
      podOf('plain-name', { containers: [shell(stay)] }, { annotations }),
      podOf('far-away', { containers: [shell(stay)] }, { namespace: 'far' }),
      {
        ...{ apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: 'web' } },
        spec: {
          ...{ serviceName: 'no-ports', replicas: 2, selector: { matchLabels: { app: 'set' } } },
          template: {
            metadata: { labels: { app: 'set' } },
            spec: {
              terminationGracePeriodSeconds: 1,
              containers: [shell(`n=$(hostname); echo "ordinal $\{n##*-}"; ${stay}`)],
            },
          },
        },
      },
    );
    const named = await walk.untilReady('named-pod');
    await walk.untilReady('plain-name');
    const first = await walk.untilReady('web-0');
    await walk.untilReady('web-1');
    assert.equal(await walk.exec('web-1', 'hostname'), 'web-1\n');
    await walk.answer(() => walk.logs('web-1'), /^ordinal 1\n$/);
    assert.equal(await walk.exec('plain-name', 'hostname'), 'plain-name\n');
    assert.equal(await walk.exec('named-pod', 'hostname'), 'busybox-1\n');
    const full = 'busybox-1.sub.default.svc.cluster.local';
    assert.equal(await walk.exec('named-pod', 'hostname', '-f'), `${full}\n`);
    const lookup = (name: string) => async (): Promise<string> =>
      (await walk.tryKubectl('exec', 'plain-name', '--', 'nslookup', name)).stdout;
    const is = (ip: string | undefined) =>
      new RegExp(`Address: ${ip?.replaceAll('.', '\\.')}$`, 'm');
    await walk.answer(lookup(full), is(named.status?.podIP));
    await walk.answer(lookup('sub.default.svc.cluster.local'), is(named.status?.podIP));
    await walk.answer(lookup('web-0.no-ports.default.svc.cluster.local'), is(first.status?.podIP));
    const resolve = (name: string) => async (): Promise<string> =>
      (await walk.tryKubectl('exec', 'plain-name', '--', 'ping', '-c', '1', '-W', '1', name))
        .stdout;
    await walk.answer(resolve('web-0.no-ports'), new RegExp(`\\(${first.status?.podIP}\\)`));
    await walk.answer(resolve('kubernetes'), /\(10\.43\.0\.1\)/);
    await walk.answer(resolve('kubernetes.default'), /\(10\.43\.0\.1\)/);
    await walk.untilReady('far/far-away');
    const far =
      (...command: readonly string[]) =>
      async (): Promise<string> =>
        (await walk.tryKubectl('exec', '-n', 'far', 'far-away', '--', ...command)).stdout;
    const ping = ['ping', '-c', '1', '-W', '1'];
    await walk.answer(far(...ping, 'kubernetes.default'), /\(10\.43\.0\.1\)/);
    await walk.answer(far('nslookup', 'sub.default.svc.cluster.local'), is(named.status?.podIP));
    // A short name is one of the own namespace.
    for (const short of ['web-0.no-ports', 'sub']) {
      const ask = [...ping, short];
      const unknown = await walk.tryKubectl('exec', '-n', 'far', 'far-away', '--', ...ask);
      assert.match(unknown.stderr, /bad address/, short);
    }
    // The next pod of a number has another address, and the same name.
    await walk.kubectl('delete', 'pod', 'web-0');
    const next = await walk.until(
      'web-0',
      (pod) => pod.metadata.uid !== first.metadata.uid && condition(pod, 'Ready') === 'True',
      'there again',
    );
    assert.notEqual(next.status?.podIP, first.status?.podIP);
    await walk.answer(lookup('web-0.no-ports.default.svc.cluster.local'), is(next.status?.podIP));
    await walk.answer(lookup('kubernetes.default.svc.cluster.local'), /^Server:\s+10\.43\.0\.10$/m);
    await walk.answer(lookup('10.43.0.10'), /name = kube-dns\.kube-system\.svc\.cluster\.local/);
    const conf = await walk.exec('plain-name', 'cat', '/etc/resolv.conf');
    const own = /^search +(.*)$/m.exec(readFileSync('/etc/resolv.conf', 'utf8'))?.[1];
    const cluster = 'default.svc.cluster.local svc.cluster.local cluster.local';
    const searches = /^search (.*)$/m.exec(conf)?.[1];
    assert.equal(searches, own === undefined ? cluster : `${cluster} ${own.trim()}`);
    assert.match(conf, /^nameserver 10\.43\.0\.10$/m);
    assert.match(conf, /^options ndots:5$/m);
    await walk.kubectl('delete', 'service', 'no-ports');
    const gone = async (): Promise<string> =>
      (
        await walk.tryKubectl(
          'exec',
          'plain-name',
          '--',
          'nslookup',
          'web-0.no-ports.default.svc.cluster.local',
        )
      ).stdout;
    await walk.answer(gone, /NXDOMAIN|can't find/);
    await walk.kubectl('delete', 'statefulset', 'web');
  },

  'hosts, and settings of the resolver, of a pod alone': async (walk) => {
    const now = 'one line for each address, with all of its names';
    superseded('POD-136', { by: 'v1.9', now });
    covers('POD-137', 'POD-138', 'POD-175', 'DNS-021', 'DNS-036');
    const hostAliases = [
      { ip: '127.0.0.1', hostnames: ['foo.local', 'bar.local'] },
      { ip: '10.1.2.3', hostnames: ['foo.remote', 'bar.remote'] },
    ];
    await walk.create(
      podOf('hostaliases-pod', { hostAliases, containers: [shell(stay)] }),
      podOf('host-net', {
        hostAliases,
        hostNetwork: true,
        dnsPolicy: 'ClusterFirstWithHostNet',
        containers: [shell(stay)],
      }),
      podOf('host-net-default', { hostNetwork: true, containers: [shell(stay)] }),
      podOf('dns-default', { dnsPolicy: 'Default', containers: [shell(stay)] }),
      podOf('dns-none', {
        dnsPolicy: 'None',
        dnsConfig: {
          nameservers: ['192.0.2.1'],
          searches: ['my.dns.search.suffix'],
          options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
        },
        containers: [shell(stay)],
      }),
    );
    const pod = await walk.untilReady('hostaliases-pod');
    const hosts = (name: string) => walk.exec(name, 'cat', '/etc/hosts');
    const text = await hosts('hostaliases-pod');
    const aliases = '127.0.0.1\tfoo.local\tbar.local\n10.1.2.3\tfoo.remote\tbar.remote\n';
    assert.ok(text.startsWith('# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n'), text);
    assert.match(text, new RegExp(`^${pod.status?.podIP}\thostaliases-pod$`, 'm'));
    assert.ok(text.endsWith(`\n# Entries added by HostAliases.\n${aliases}`), text);
    await walk.untilReady('host-net');
    assert.ok((await hosts('host-net')).endsWith(`\n# Entries added by HostAliases.\n${aliases}`));
    const spoil = ['sh', '-c', `echo 9.9.9.9 mine >> /etc/hosts; ${endFirst}`];
    await walk.tryKubectl('exec', 'hostaliases-pod', '--', ...spoil);
    await walk.until(
      'hostaliases-pod',
      (each) => statusOf(each).restartCount === 1 && condition(each, 'Ready') === 'True',
      'again',
    );
    assert.equal(await hosts('hostaliases-pod'), text);
    const conf = async (name: string): Promise<string> => {
      await walk.untilReady(name);
      return await walk.exec(name, 'cat', '/etc/resolv.conf');
    };
    assert.match(await conf('host-net'), /^nameserver 10\.43\.0\.10$/m);
    const own = readFileSync('/etc/resolv.conf', 'utf8');
    const servers = (resolv: string) => resolv.match(/^nameserver .*$/gm);
    assert.deepEqual(servers(await conf('dns-default')), servers(own));
    assert.deepEqual(servers(await conf('host-net-default')), servers(own));
    assert.equal(
      await conf('dns-none'),
      'search my.dns.search.suffix\nnameserver 192.0.2.1\noptions ndots:2 edns0\n',
    );
    const find = ['nslookup', 'kubernetes.default.svc.cluster.local'];
    await walk.answer(() => walk.exec('host-net', ...find), /Address: 10\.43\.0\.1$/m);
  },

  'one pod behind a port of the node, one behind its own label': async (walk) => {
    covers('POD-022', 'SVC-020', 'SVC-049', 'SVC-052', 'SVC-059', 'SVC-039', 'SVC-067', 'SVC-099');
    covers('NET-031', 'SVC-053', 'DNS-043');
    const web = (name: string, port: number, more: object = {}) =>
      podOf(
        name,
        {
          containers: [
            {
              ...shell(`mkdir /www; hostname > /www/index.html; httpd -p ${port} -h /www; ${stay}`),
              ports: [{ name: 'http', containerPort: port, ...more }],
            },
          ],
        },
        { labels: { app: 'ported', own: name } },
      );
    const hostPort = await freePort();
    await walk.create(
      web('ported-1', 8081, { hostPort }),
      web('ported-2', 8082),
      service('ported', { selector: { app: 'ported' }, ports: [{ port: 80, targetPort: 'http' }] }),
      service('single', { selector: { own: 'ported-2' }, ports: [{ port: 8082 }] }),
      service('elsewhere', {
        selector: { own: 'ported-2' },
        ports: [{ port: 80, targetPort: 9999 }],
      }),
    );
    await walk.untilReady('ported-1');
    await walk.untilReady('ported-2');
    const curl = async (url: string): Promise<string> =>
      (await walk.run('curl', ['-sS', '--max-time', '30', url])).stdout;
    await walk.answer(() => curl(`http://localhost:${hostPort}/`), /^ported-1\n$/);
    await walk.create(web('ported-too', 8081, { hostPort }));
    const told = /1 node\(s\) didn't have free ports for the requested pod ports/;
    const why = 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].message}';
    await walk.answer(() => walk.kubectl('get', 'pod', 'ported-too', '-o', why), told);
    await walk.kubectl('delete', 'pod', 'ported-too');
    const ipOf = (name: string) =>
      walk.kubectl('get', 'svc', name, '-o', 'jsonpath={.spec.clusterIP}');
    const ip = await ipOf('ported');
    const both = async (): Promise<string> => {
      const said = await Promise.all(Array.from({ length: 12 }, () => curl(`http://${ip}/`)));
      return [...new Set(said)].sort().join('');
    };
    await walk.answer(both, /^ported-1\nported-2\n$/);
    const single = await ipOf('single');
    await walk.answer(() => curl(`http://${single}:8082/`), /^ported-2$/m);
    const names = 'jsonpath={.subsets[*].addresses[*].targetRef.name}';
    const listed = () => walk.kubectl('get', 'endpoints', 'single', '-o', names);
    await walk.answer(listed, /^ported-2$/);
    const elsewhere = `http://${await ipOf('elsewhere')}/`;
    const refused = async (): Promise<string> =>
      (await walk.run('curl', ['-sS', '--max-time', '30', elsewhere])).stderr;
    await walk.answer(refused, /refused|connect to server/);
    assert.equal(
      (await walk.run('ip', ['-o', 'addr'])).stdout.includes(ip),
      false,
      'nobody has it',
    );
    const passesOn = 'server { listen 8080; location / { proxy_pass http://ported; } }';
    const conf = { name: 'conf', mountPath: '/etc/nginx/conf.d' };
    await walk.create(
      configMap('frontend', { 'frontend.conf': passesOn }),
      podOf('asks-by-name', { containers: [shell(stay)] }),
      podOf('frontend', {
        containers: [{ ...webServer, volumeMounts: [conf] }],
        volumes: [{ name: 'conf', configMap: { name: 'frontend' } }],
      }),
    );
    await walk.untilReady('asks-by-name');
    const byName = () => walk.exec('asks-by-name', 'wget', '-qO-', 'http://ported');
    await walk.answer(byName, /^ported-[12]$/m);
    const { status } = await walk.untilReady('frontend');
    await walk.answer(() => curl(`http://${status?.podIP}:8080/`), /^ported-[12]$/m);
    await walk.kubectl('delete', 'pod', 'ported-1', 'ported-2');
    await walk.create(web('ported-3', 8083));
    await walk.untilReady('ported-3');
    assert.equal(await ipOf('ported'), ip);
    await walk.answer(both, /^ported-3\n$/);
  },
};

async function newest(walk: Parameters<Walkthroughs[string]>[0]): Promise<string> {
  const names = await walk.kubectl(
    'get',
    'pods',
    '-o',
    'name',
    '--sort-by=.metadata.creationTimestamp',
  );
  const all = names.split('\n').filter((line) => line.includes('node-debugger'));
  return all.at(-1)?.replace('pod/', '') ?? '';
}
