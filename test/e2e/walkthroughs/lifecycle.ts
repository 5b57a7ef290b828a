/**
 * How pods begin and end: phases and restart policies, hooks, grace, termination messages, init
 * containers, what is left when a container comes again.
 */
import assert from 'node:assert/strict';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import {
  busybox,
  condition,
  configMap,
  endFirst,
  Gate,
  isRunning,
  nginx,
  podOf,
  readProcess,
  secret,
  service,
  shell,
  stateOf,
  statusOf,
  stay,
  talker,
  type Walkthroughs,
} from '#test/watched-cluster.ts';

const never = { restartPolicy: 'Never' } as const;
const phaseIs = (phase: string) => (pod: Pod) => pod.status?.phase === phase;

export const lifecycle: Walkthroughs = {
  'what becomes of a pod, by restart policy and by how its containers end': async (walk) => {
    covers('POD-103', 'POD-104', 'POD-105', 'POD-200', 'POD-122', 'POD-125', 'POD-214', 'POD-099');
    const ends = { good: 'exit 0', bad: 'exit 3', big: 'sleep 1; head -c 100m /dev/zero | tail' };
    const policies = ['Always', 'OnFailure', 'Never'] as const;
    // Ends that follow one another at once would be told as one: each waits until it is seen.
    const gate = new Gate(walk, 'policies');
    const more = { resources: { limits: { memory: '20Mi' } }, volumeMounts: [gate.mount] };
    for (const restartPolicy of policies) {
      const prefix = restartPolicy.toLowerCase();
      await walk.create(
        ...Object.entries(ends).map(([end, script]) =>
          podOf(`${prefix}-${end}`, {
            // The first one is what counts where nothing is said.
            ...(restartPolicy === 'Always' ? {} : { restartPolicy }),
            containers: [shell(`${gate.wait('end')}; ${script}`, more)],
            volumes: [gate.volume],
          }),
        ),
        podOf(`${prefix}-two`, {
          restartPolicy,
          containers: [
            shell('exit 3', { name: 'one' }),
            shell(gate.wait('end-of-two'), { name: 'two', volumeMounts: [gate.mount] }),
          ],
          volumes: [gate.volume],
        }),
      );
    }
    for (const name of ['always-good', 'always-bad']) await walk.untilReady(name);
    gate.open('end');
    const again = (pod: Pod): boolean => isRunning(pod) && statusOf(pod).restartCount > 0;
    for (const name of ['always-good', 'always-bad', 'onfailure-bad']) {
      await walk.until(name, again, 'restarted');
    }
    // The reason may be told after the end.
    const wasKilled = (pod: Pod): boolean =>
      statusOf(pod).lastState?.terminated?.reason === 'OOMKilled' && statusOf(pod).restartCount > 0;
    for (const name of ['always-big', 'onfailure-big']) {
      await walk.until(name, wasKilled, 'killed for its memory, and again there');
    }
    assert.ok(walk.everWas('always-good', (pod) => stateOf(pod) === 'Terminated: Completed 0'));
    assert.ok(walk.everWas('always-bad', (pod) => stateOf(pod) === 'Terminated: Error 3'));
    covers('POD-160', 'POD-302');
    const labels = { app: 'no-set' };
    const template = { metadata: { labels }, spec: { ...never, containers: [shell(stay)] } };
    const set = {
      ...{ apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: 'no-set' } },
      spec: { serviceName: 'none', selector: { matchLabels: labels }, template },
    };
    const refused = await walk.cluster.kubectlWith(
      { input: JSON.stringify(set) },
      ...['create', '-f', '-'],
    );
    assert.match(refused.stderr, /restartPolicy: Unsupported value: "Never".*: "Always"/);
    const started = (pod: Pod): boolean =>
      statusOf(pod, 'two').state?.running?.startedAt !== undefined;
    await walk.until('never-two', started, 'started');
    const oneOver = (pod: Pod): boolean => stateOf(pod, 'one') === 'Terminated: Error 3';
    const half = (pod: Pod): boolean => oneOver(pod) && stateOf(pod, 'two') === 'Running';
    const halfOver = await walk.until('never-two', half, 'half over');
    assert.ok(isRunning(halfOver));
    gate.open('end-of-two');
    await walk.until('never-two', (pod) => pod.status?.phase === 'Failed', 'over');
    const failed = { 'never-bad': 'Failed', 'never-big': 'Failed' };
    const ofOnce = { 'onfailure-good': 'Succeeded', 'never-good': 'Succeeded', ...failed };
    for (const [name, phase] of Object.entries(ofOnce)) {
      const pod = await walk.untilEnded(name);
      assert.equal(pod.status?.phase, phase, name);
      assert.equal(statusOf(pod).restartCount, 0);
      const { startedAt, finishedAt, containerID } = statusOf(pod).state?.terminated ?? {};
      assert.ok(startedAt && finishedAt && containerID?.startsWith('containerd://'));
    }
    assert.equal(stateOf(await walk.untilEnded('never-bad')), 'Terminated: Error 3');
    const isKilled = (pod: Pod): boolean => stateOf(pod) === 'Terminated: OOMKilled 137';
    await walk.until('never-big', isKilled, 'killed for its memory');
    assert.doesNotMatch(walk.events('never-big').join('\n'), /OOM/);
    superseded('POD-106', {
      by: 'v1.6',
      now: 'the same, told by the reason OOMKilled; the pod has no event of it',
    });
    assert.equal(stateOf(await walk.untilEnded('never-good')), 'Terminated: Completed 0');
    for (const name of ['always-two', 'onfailure-two']) {
      const pod = await walk.until(name, (each) => statusOf(each, 'one').restartCount > 0, 'again');
      assert.equal(pod.status?.phase, 'Running');
      assert.ok(!walk.everWas(name, phaseIs('Failed')));
    }
    const crashed = await walk.until('always-bad', (pod) => /BackOff/.test(stateOf(pod)), 'waits');
    const last = statusOf(crashed).lastState?.terminated;
    assert.deepEqual([last?.exitCode, last?.reason], [3, 'Error']);
    assert.ok(last?.startedAt && last.finishedAt);
    assert.equal(statusOf(crashed).ready, false);
  },

  'phases and conditions, as they pass by': async (walk) => {
    covers('POD-023', 'POD-216', 'POD-159', 'POD-313');
    superseded('POD-091', {
      by: 'v1.29',
      now: 'Unschedulable is the reason of PodScheduled False; ContainersReady and PodReadyToStartContainers have come',
    });
    const labels = { watched: 'yes' };
    const rows = walk.cluster.spawnKubectl('get', 'pods', '-l', 'watched=yes', '--watch');
    const seen = (pattern: RegExp) =>
      walk.eventually(
        () => pattern.test(rows.text()),
        () => `${pattern} in ${rows.text()}`,
      );
    const nodeSelector = { disktype: 'none-such' };
    await walk.create(podOf('nowhere', { containers: [shell(stay)], nodeSelector }, { labels }));
    // Once this one is shown, every state of what comes after it is.
    await seen(/nowhere +0\/1 +Pending +0/);
    const command = ['test', '-e', '/tmp/ready'];
    const late = [{ name: 'late', mountPath: '/late' }];
    await walk.create(
      podOf(
        'slowly',
        {
          containers: [
            shell(stay, {
              readinessProbe: { exec: { command }, periodSeconds: 1, timeoutSeconds: 30 },
              volumeMounts: late,
            }),
          ],
          // A start of less than a second would be told by one status: it must wait for this one.
          volumes: [{ name: 'late', configMap: { name: 'comes-late' } }],
        },
        { labels },
      ),
    );
    await seen(/slowly +0\/1 +Pending +0/);
    await seen(/slowly +0\/1 +ContainerCreating +0/);
    await walk.create(configMap('comes-late', {}));
    await seen(/slowly +0\/1 +Running +0/);
    await walk.exec('slowly', 'touch', '/tmp/ready');
    await seen(/slowly +1\/1 +Running +0/);
    rows.kill();
    const pod = await walk.until('slowly', (each) => condition(each, 'Ready') === 'True', 'ready');
    for (const type of [
      ...['PodScheduled', 'Initialized', 'Ready', 'ContainersReady'],
      'PodReadyToStartContainers',
    ]) {
      assert.equal(condition(pod, type), 'True', type);
    }
    const lost = await walk.until(
      'nowhere',
      (each) => condition(each, 'PodScheduled') === 'False',
      'without a node',
    );
    assert.equal(lost.status?.phase, 'Pending');
    const scheduled = lost.status?.conditions?.find(({ type }) => type === 'PodScheduled');
    assert.equal(scheduled?.reason, 'Unschedulable');
    const text = await walk.answer(
      () => walk.kubectl('describe', 'pod', 'nowhere'),
      /FailedScheduling .*0\/1 nodes are available: 1 node\(s\) didn't match Pod's node aff/,
    );
    assert.match(text, /^ +PodScheduled +False/m);
    assert.match(text, /^QoS Class: +BestEffort/m);
    await walk.kubectl('delete', 'pod', 'nowhere');
  },

  'hooks: right after the start, right before the end': async (walk) => {
    covers('POD-075', 'POD-176', 'POD-077', 'CLI-256');
    const answers = 'server { listen 8080; access_log /dev/stdout; location / { return 200; } }';
    const conf = { name: 'conf', mountPath: '/etc/nginx/conf.d' };
    await walk.create(
      configMap('hook-server', { 'hooks.conf': answers }),
      podOf('hook-server', {
        containers: [
          {
            ...{ name: 'web', image: nginx, volumeMounts: [conf] },
            readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1, timeoutSeconds: 30 },
          },
        ],
        volumes: [{ name: 'conf', configMap: { name: 'hook-server' } }],
      }),
    );
    const server = await walk.untilReady('hook-server');
    const host = server.status?.podIP ?? '';
    const gate = new Gate(walk, 'hooks');
    const greet = [
      'echo Hello from the postStart handler > /usr/share/message',
      ...['cat /proc/self/cgroup > /tmp/hook', 'touch /gate/hook', gate.wait('end-of-hook')],
    ].join('; ');
    await walk.create(
      podOf('lifecycle-demo', {
        containers: [
          shell(`touch /gate/began; ${stay}`, {
            lifecycle: { postStart: { exec: { command: ['sh', '-c', greet] } } },
            // In the same namespaces and under the same limits.
            resources: { limits: { memory: '50Mi' } },
            volumeMounts: [gate.mount],
          }),
        ],
        volumes: [gate.volume],
      }),
      podOf('http-hooks', {
        terminationGracePeriodSeconds: 30,
        containers: [
          shell(stay, {
            lifecycle: {
              postStart: { httpGet: { host, port: 8080, path: '/started' } },
              preStop: { httpGet: { host, port: 8080, path: '/stopping' } },
            },
          }),
        ],
      }),
    );
    const creating = (each: Pod): boolean => stateOf(each) === 'Waiting: ContainerCreating';
    await walk.until('lifecycle-demo', creating, 'being made');
    const isBoth = (): boolean => gate.has('began') && gate.has('hook');
    await walk.eventually(isBoth, 'the program has begun, and the hook beside it');
    // It has not ended: nobody has said that the pod is ready.
    assert.ok(!walk.everWas('lifecycle-demo', isRunning));
    gate.open('end-of-hook');
    await walk.untilReady('lifecycle-demo');
    const message = await walk.exec('lifecycle-demo', 'cat', '/usr/share/message');
    assert.equal(message, 'Hello from the postStart handler\n');
    const memoryOf = async (file: string) => {
      const lines = await walk.exec('lifecycle-demo', 'cat', file);
      return (/^\d+:memory:.*$/m.exec(lines) ?? /^0::.*$/m.exec(lines))?.[0];
    };
    const group = await memoryOf('/proc/1/cgroup');
    assert.ok(group);
    assert.equal(await memoryOf('/tmp/hook'), group, 'the hook counts as the container does');
    await walk.untilReady('http-hooks');
    await walk.kubectl('delete', 'pod', 'http-hooks');
    const asked = /GET \/started HTTP[\s\S]*GET \/stopping HTTP/;
    await walk.answer(() => walk.logs('hook-server'), asked);
  },

  'hooks that fail': async (walk) => {
    covers('POD-078', 'POD-080');
    const fail = { exec: { command: ['sh', '-c', 'echo secret words; exit 4'] } };
    await walk.create(
      podOf('failed-start-hook', {
        containers: [shell(stay, { lifecycle: { postStart: fail } })],
      }),
      podOf('failed-stop-hook', {
        terminationGracePeriodSeconds: 20,
        containers: [shell(stay, { lifecycle: { preStop: fail } })],
      }),
      podOf('failed-once', {
        ...never,
        containers: [shell(stay, { lifecycle: { postStart: fail } })],
      }),
    );
    await walk.untilReady('failed-stop-hook');
    await walk.kubectl('delete', 'pod', 'failed-stop-hook');
    await walk.until('failed-start-hook', (pod) => statusOf(pod).restartCount > 0, 'restarted');
    await walk.untilEvent('failed-start-hook', /^Killing: FailedPostStartHook$/m);
    await walk.untilEvent('failed-start-hook', /^FailedPostStartHook: PostStartHook failed$/m);
    assert.doesNotMatch(walk.events('failed-start-hook').join('\n'), /secret words/);
    await walk.untilEvent('failed-stop-hook', /^FailedPreStopHook: PreStopHook failed$/m);
    const { status } = await walk.untilEnded('failed-once');
    assert.equal(status?.phase, 'Failed');
  },

  'the end: hook, TERM, grace, KILL': async (walk) => {
    covers('POD-076', 'POD-086', 'POD-177', 'POD-298', 'POD-287', 'POD-084');
    const unsaid = podOf('unsaid', { containers: [shell(stay)] });
    const { terminationGracePeriodSeconds: _, ...spec } = Object(unsaid.spec);
    const dry = await walk.cluster.kubectlWith(
      { input: JSON.stringify({ ...unsaid, spec }) },
      ...['create', '--dry-run=server', '-o', 'json', '-f', '-'],
    );
    assert.equal(JSON.parse(dry.stdout).spec.terminationGracePeriodSeconds, 30, dry.stderr);
    const marks = { name: 'marks', hostPath: { path: `${walk.cluster.folder}/marks`, type: '' } };
    const volumes = [{ ...marks, hostPath: { ...marks.hostPath, type: 'DirectoryOrCreate' } }];
    const volumeMounts = [{ name: 'marks', mountPath: '/marks' }];
    const log = (name: string): string => `${walk.cluster.folder}/marks/${name}`;
    const script = (name: string): string =>
      `trap 'echo term >> /marks/${name}; exit 0' TERM; echo listening; sleep 86400 & wait`;
    const hook = (name: string, pause: string) => ({
      preStop: {
        exec: {
          command: [
            'sh',
            '-c',
            `echo hook >> /marks/${name}; ${pause}; echo end >> /marks/${name}`,
          ],
        },
      },
    });
    await walk.create(
      podOf('ordered', {
        ...{ terminationGracePeriodSeconds: 60, volumes },
        containers: [
          shell(script('ordered'), { volumeMounts, lifecycle: hook('ordered', 'sleep 1') }),
          shell(script('beside'), { name: 'beside', volumeMounts }),
        ],
      }),
      podOf('deaf', {
        terminationGracePeriodSeconds: 2,
        containers: [shell('trap "" TERM; while true; do sleep 0.2; done')],
      }),
      podOf('deaf-with-hook', {
        ...{ terminationGracePeriodSeconds: 2, volumes },
        containers: [
          shell('trap "" TERM; while true; do sleep 0.2; done', {
            ...{ volumeMounts, lifecycle: hook('deaf-with-hook', 'sleep 1000') },
          }),
        ],
      }),
      podOf('moved-away', {
        ...{ terminationGracePeriodSeconds: 60, volumes },
        containers: [
          shell(script('moved-away'), { volumeMounts, lifecycle: hook('moved-away', 'sleep 1') }),
        ],
      }),
    );
    const names = ['ordered', 'deaf', 'deaf-with-hook', 'moved-away'];
    for (const name of names) await walk.untilReady(name);
    // Only then do they know what to do when they are told to end.
    const listens = (...of: readonly [string, ...string[]]) =>
      walk.answer(() => walk.logs(...of), /^listening$/m);
    for (const name of ['ordered', 'moved-away']) await listens(name);
    await listens('ordered', '-c', 'beside');
    const pid = await walk.pid('deaf');
    const begun = beginOf(pid);
    const evict = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'moved-away' } };
    const path = '/api/v1/namespaces/default/pods/moved-away/eviction';
    const input = JSON.stringify(evict);
    const times: Record<string, number> = {};
    const within = (name: string, least: number): void => {
      const seconds = times[name] ?? 0;
      // Sooner than the hook would end; a busy machine takes its time over the rest.
      assert.ok(seconds > least && seconds < 900, `${name} was gone after ${seconds} s`);
    };
    const remove = async (name: string): Promise<void> => {
      const begin = performance.now();
      if (name === 'moved-away') {
        await walk.cluster.kubectlWith({ input }, 'create', '--raw', path, '-f', '-');
      } else {
        await walk.kubectl('delete', 'pod', name, '--wait=false');
      }
      await walk.untilGone(name);
      times[name] = (performance.now() - begin) / 1000;
    };
    const marksOf = async (name: string) => (await walk.run('cat', [log(name)])).stdout;
    let tries = 0;
    /** TERM all the same, and 2 s more: it wants half a second of them. */
    const isMoreGiven = async (): Promise<boolean> => {
      const name = `late-hook-${++tries}`;
      const later = `sleep 0.5; echo later >> /marks/${name}; exit 0`;
      const lifecycle = hook(name, 'sleep 1000');
      await walk.create(
        podOf(name, {
          // Time enough for the hook to begin, and not to end.
          ...{ terminationGracePeriodSeconds: 15, volumes },
          containers: [shell(script(name).replace('exit 0', later), { volumeMounts, lifecycle })],
        }),
      );
      await walk.untilReady(name);
      await listens(name);
      await remove(name);
      within(name, 15);
      // A machine that is too busy to let it run in just these two seconds is asked again.
      return (await marksOf(name)) === 'hook\nterm\nlater\n';
    };
    const more = walk.eventually(isMoreGiven, 'it is told TERM, and given 2 s more');
    await Promise.all([more, ...names.map(remove)]);
    assert.equal(await marksOf('ordered'), 'hook\nend\nterm\n');
    assert.equal(await marksOf('beside'), 'term\n', 'each of its containers is told');
    assert.equal(await marksOf('moved-away'), 'hook\nend\nterm\n');
    within('deaf', 2);
    within('deaf-with-hook', 3.5);
    // Another process may have the number by now.
    assert.notEqual(beginOf(pid), begun, 'killed');
  },

  'termination messages': async (walk) => {
    covers('POD-208');
    await walk.create(
      podOf('termination-demo', {
        ...never,
        containers: [shell('sleep 0.5 && echo Sleep expired > /dev/termination-log')],
      }),
      podOf('msg-path-demo', {
        ...never,
        containers: [
          shell('echo elsewhere > /tmp/my-log', { terminationMessagePath: '/tmp/my-log' }),
        ],
      }),
      podOf('from-the-log', {
        ...never,
        containers: [
          shell('echo first; echo the last words; exit 5', {
            terminationMessagePolicy: 'FallbackToLogsOnError',
          }),
        ],
      }),
      podOf('long-winded', {
        ...never,
        containers: [shell('head -c 9000 /dev/zero | tr "\\0" x > /dev/termination-log')],
      }),
    );
    const template = '{{range .status.containerStatuses}}{{.state.terminated.message}}{{end}}';
    const messageOf = async (name: string): Promise<string> => {
      await walk.untilEnded(name);
      return await walk.kubectl('get', 'pod', name, '-o', `go-template=${template}`);
    };
    assert.equal(await messageOf('termination-demo'), 'Sleep expired\n');
    assert.equal(await messageOf('msg-path-demo'), 'elsewhere\n');
    assert.equal(await messageOf('from-the-log'), 'first\nthe last words\n');
    assert.equal((await messageOf('long-winded')).length, 4096);
  },

  'myapp-pod waits for two Services': async (walk) => {
    covers('POD-108', 'POD-110', 'POD-112', 'POD-209', 'CLI-045', 'CLI-253', 'POD-318');
    const wait = (name: string) =>
      shell(
        `cat /var/run/secrets/kubernetes.io/serviceaccount/namespace; until nslookup ${name}.default.svc.cluster.local; do echo waiting for ${name}; sleep 0.3; done`,
        {
          name: `init-${name}`,
        },
      );
    await walk.create(
      podOf('myapp-pod', {
        containers: [
          shell(`echo The app is running! && ${stay}`, { name: 'myapp-container' }),
          { ...shell(stay, { name: 'beside' }), image: nginx },
        ],
        initContainers: [wait('myservice'), wait('mydb')],
      }),
    );
    const first = await walk.until(
      'myapp-pod',
      (pod) => stateOf(pod, 'init-myservice') === 'Running',
      'waiting for the first',
    );
    assert.equal(first.status?.phase, 'Pending');
    assert.equal(condition(first, 'Initialized'), 'False');
    assert.equal(condition(first, 'Ready'), 'False');
    assert.equal(stateOf(first, 'init-mydb'), 'Waiting: PodInitializing');
    assert.match(
      await walk.kubectl('get', 'pod', 'myapp-pod', '--no-headers'),
      /0\/2 +Init:0\/2 +0/,
    );
    const init = () => walk.logs('myapp-pod', '-c', 'init-myservice');
    await walk.answer(init, /^default[\s\S]*waiting for myservice/);
    await walk.create(service('myservice', { ports: [{ port: 80, targetPort: 9376 }] }));
    const second = await walk.until(
      'myapp-pod',
      (pod) => stateOf(pod, 'init-mydb') === 'Running',
      'waiting for the second',
    );
    assert.equal(stateOf(second, 'init-myservice'), 'Terminated: Completed 0');
    assert.match(
      await walk.kubectl('get', 'pod', 'myapp-pod', '--no-headers'),
      /0\/2 +Init:1\/2 +0/,
    );
    const text = await walk.kubectl('describe', 'pod', 'myapp-pod');
    const shown = [
      'State: +Terminated\\n +Reason: +Completed\\n +Exit Code: +0\\n +Started:.*',
      ' +Finished:.*\\n +Ready: +True\\n +Restart Count: +0',
    ].join('\\n');
    assert.match(text, new RegExp(`^Init Containers:\\n +init-myservice:[^]*?${shown}`, 'm'));
    assert.match(text, /^ +init-mydb:$/m);
    await walk.create(service('mydb', { ports: [{ port: 80, targetPort: 9377 }] }));
    const ready = await walk.untilReady('myapp-pod');
    assert.equal(condition(ready, 'Initialized'), 'True');
    const statuses = ready.status?.initContainerStatuses ?? [];
    assert.deepEqual(
      statuses.map(({ name, ready: done }) => [name, done]),
      [
        ['init-myservice', true],
        ['init-mydb', true],
      ],
    );
    const ips = ['myapp-container', 'beside'].map((container) =>
      walk.kubectl('exec', 'myapp-pod', '-c', container, '--', 'hostname', '-i'),
    );
    const [one, other] = await Promise.all(ips);
    assert.equal(one, other, 'one address for all of its containers');
  },

  'init containers that fail, and what only they may see': async (walk) => {
    covers('POD-109', 'POD-111', 'POD-174', 'VOL-142');
    const mounts = (...names: readonly string[]) =>
      names.map((name) => ({ name, mountPath: `/${name}` }));
    const count = 'cat /keys/word && echo x >> /kept/tries; [ $(wc -l < /kept/tries) -ge 2 ]';
    const policies = { 'init-again': 'Always', 'init-on-failure': 'OnFailure' } as const;
    await walk.create(
      secret('init-only', { word: 'for nobody else' }),
      podOf('init-never', {
        ...never,
        initContainers: [shell('exit 1', { name: 'init' })],
        containers: [shell(stay)],
      }),
      ...Object.entries(policies).map(([name, restartPolicy]) =>
        podOf(name, {
          restartPolicy,
          initContainers: [
            {
              ...shell(count, { name: 'init', volumeMounts: mounts('kept', 'keys') }),
              image: nginx,
            },
          ],
          containers: [shell(stay, { volumeMounts: mounts('kept') })],
          volumes: [
            { name: 'kept', emptyDir: {} },
            { name: 'keys', secret: { secretName: 'init-only' } },
          ],
        }),
      ),
    );
    const failed = await walk.untilEnded('init-never');
    assert.equal(failed.status?.phase, 'Failed');
    assert.equal(statusOf(failed, 'init').restartCount, 0);
    assert.match(await walk.kubectl('get', 'pod', 'init-never', '--no-headers'), /Init:Error/);
    // Until it succeeds, and not again: also where whatever ends is started again.
    for (const name of Object.keys(policies)) {
      const pod = await walk.untilReady(name);
      assert.equal(statusOf(pod, 'init').restartCount, 1);
      const { exitCode, reason } = statusOf(pod, 'init').state?.terminated ?? {};
      assert.deepEqual([exitCode, reason], [0, 'Completed']);
      assert.equal(await walk.exec(name, 'cat', '/kept/tries'), 'x\nx\n');
      assert.equal(await walk.logs(name, '-c', 'init'), 'for nobody else');
    }
    const list = await walk.tryKubectl(
      'exec',
      'init-again',
      '--',
      'ls',
      '/keys',
      '/usr/sbin/nginx',
    );
    assert.match(list.stderr, /\/keys: No such file[\s\S]*\/usr\/sbin\/nginx: No such file/);
  },

  'another image for one container; the process ends; the sandbox ends': async (walk) => {
    covers('POD-030', 'POD-026', 'POD-323', 'POD-201');
    covers('VOL-111', 'POD-290', 'NET-028', 'NET-075');
    const volumeMounts = [{ name: 'kept', mountPath: '/kept' }];
    await walk.create(
      podOf('patient', {
        initContainers: [shell('echo init >> /kept/inits', { name: 'init', volumeMounts })],
        containers: [
          shell(stay, { volumeMounts }),
          shell(
            `mkdir /www; echo through localhost > /www/index.html; httpd -p 9090 -h /www; ${stay}`,
            { name: 'other', volumeMounts },
          ),
        ],
        volumes: [{ name: 'kept', emptyDir: {} }],
      }),
    );
    const before = await walk.untilReady('patient');
    const exec = (container: string, script: string) =>
      walk.kubectl('exec', 'patient', '-c', container, '--', 'sh', '-c', script);
    const asked = () => exec('main', 'wget -qO- http://localhost:9090/');
    await walk.answer(asked, /^through localhost\n$/);
    const taken = await exec('main', 'httpd -f -p 9090 2>&1 || true');
    assert.match(taken, /in use/i, 'one space of ports');
    await walk.kubectl('set', 'image', 'pod/patient', `main=${talker}`);
    const changed = await walk.until(
      'patient',
      (pod) => statusOf(pod, 'main').restartCount === 1,
      'new',
    );
    assert.equal(statusOf(changed, 'other').restartCount, 0);
    assert.equal(statusOf(changed, 'other').containerID, statusOf(before, 'other').containerID);
    await walk.untilEvent(
      'patient',
      /Killing: Container main definition changed, will be restarted/,
    );
    await walk.untilReady('patient');
    await exec('main', 'echo Hello > /kept/test-file; echo gone > /here');
    assert.equal(await exec('other', 'cat /kept/test-file'), 'Hello\n', 'one volume');
    await walk.tryKubectl('exec', 'patient', '-c', 'main', '--', 'sh', '-c', endFirst);
    const twice = (pod: Pod): boolean => statusOf(pod, 'main').restartCount === 2;
    const again = await walk.until('patient', (pod) => twice(pod) && isRunning(pod), 'again');
    const last = statusOf(again, 'main').lastState?.terminated;
    assert.ok(last?.reason === 'Completed' || last?.reason === 'Error');
    await walk.untilReady('patient');
    assert.equal(await exec('main', 'cat /kept/test-file; ls /here || true'), 'Hello\n');
    // Whatever ended in it, it is the same pod at the same place, and nobody else has its address.
    assert.equal(again.metadata.uid, before.metadata.uid);
    assert.equal(again.spec?.nodeName, before.spec?.nodeName);
    const { podIP = '' } = again.status ?? {};
    assert.equal(podIP, before.status?.podIP);
    const running = ['get', 'pods', '-A', '--field-selector', 'status.phase=Running'];
    const all = await walk.kubectl(...running, '-o', 'jsonpath={.items[*].status.podIP}');
    assert.equal(all.split(' ').filter((ip) => ip === podIP).length, 1);
  },

  'the pause process ends: all begins anew': async (walk) => {
    const volumeMounts = [{ name: 'kept', mountPath: '/kept' }];
    const now = 'another image of an init container restarts nothing; the sandbox does';
    superseded('POD-113', { by: 'v1.20', now });
    covers('POD-117', 'RUN-015', 'POD-321', 'VOL-014', 'NET-036');
    await walk.create(
      podOf('reborn', {
        initContainers: [shell('echo init >> /kept/inits', { name: 'init', volumeMounts })],
        containers: [
          shell(`echo at home > /kept/index.html; httpd -p 9090 -h /kept; ${stay}`, {
            volumeMounts,
          }),
          shell(stay, { name: 'other' }),
        ],
        volumes: [{ name: 'kept', emptyDir: {} }],
      }),
    );
    const before = await walk.untilReady('reborn');
    const others = [
      'exec',
      'reborn',
      '-c',
      'other',
      '--',
      'wget',
      '-qO-',
      'http://localhost:9090/',
    ];
    await walk.answer(() => walk.kubectl(...others), /^at home\n$/);
    const own = await walk.pid('reborn', 'main');
    const other = await walk.pid('reborn', 'other');
    const { ppid } = parentOf(own);
    const sisters = await walk.run('ps', ['--ppid', String(ppid), '-o', 'pid=,args=']);
    const pause = Number(/^ *(\d+) +\/pause/m.exec(sisters.stdout)?.[1]);
    assert.ok(pause > 0, sisters.stdout);
    for (const kind of ['net', 'ipc', 'uts']) {
      const inode = async (pid: number) =>
        (await walk.run('readlink', [`/proc/${pid}/ns/${kind}`])).stdout;
      for (const each of [own, other]) {
        assert.equal(await inode(each), await inode(pause), kind);
      }
    }
    assert.ok(beginOf(pause) <= beginOf(own), 'it is there first');
    const space = [`--net=/proc/${pause}/ns/net`, 'ip', '-o', '-4', 'addr', 'show', 'eth0'];
    const { stdout } = await walk.run('nsenter', space);
    assert.ok(stdout.includes(` ${before.status?.podIP}/`), stdout);
    process.kill(pause, 'SIGKILL');
    const after = await walk.until(
      'reborn',
      (pod) =>
        condition(pod, 'Ready') === 'True' &&
        ['main', 'other'].every(
          (name) => statusOf(pod, name).containerID !== statusOf(before, name).containerID,
        ),
      'born again',
    );
    for (const name of ['main', 'other']) assert.equal(statusOf(after, name).restartCount, 1);
    assert.notEqual(after.status?.podIP, before.status?.podIP);
    const inits = () => walk.kubectl('exec', 'reborn', '-c', 'main', '--', 'cat', '/kept/inits');
    assert.equal(await inits(), 'init\ninit\n');
    await walk.untilEvent(
      'reborn',
      /SandboxChanged: Pod sandbox changed, it will be killed and re-created/,
    );
    await walk.kubectl('set', 'image', 'pod/reborn', `init=${talker}`);
    await walk.kubectl('wait', '--for=delete', 'pod/reborn', '--timeout=2s').catch(() => {});
    const later = await walk.untilReady('reborn');
    assert.equal(later.spec?.initContainers?.[0]?.image, talker);
    assert.equal(statusOf(later, 'main').containerID, statusOf(after, 'main').containerID);
    assert.equal(await inits(), 'init\ninit\n');
  },

  'stopped by its own hook': async (walk) => {
    covers('POD-199');
    await walk.create(
      podOf('nginx-quit', {
        terminationGracePeriodSeconds: 90,
        containers: [
          {
            ...{ name: 'web', image: nginx },
            lifecycle: { preStop: { exec: { command: ['/usr/sbin/nginx', '-s', 'quit'] } } },
          },
        ],
      }),
    );
    await walk.untilReady('nginx-quit');
    const logs = walk.cluster.spawnKubectl('logs', '-f', 'nginx-quit');
    await walk.eventually(() => /start worker process/.test(logs.text()), 'its first words');
    const begin = performance.now();
    await walk.kubectl('delete', 'pod', 'nginx-quit');
    assert.ok(performance.now() - begin < 80_000);
    await walk.eventually(
      () => /signal 3 \(SIGQUIT\) received from [1-9]/.test(logs.text()),
      () => logs.text(),
    );
    assert.match(logs.text(), /gracefully shutting down/);
    logs.kill();
  },

  'a crash loop waits longer each time': async (walk) => {
    const now = 'Container created, and the back-off names the container and the pod';
    superseded('POD-152', { by: 'v1.35', now });
    await walk.create(podOf('looping', { containers: [shell('exit 1')] }));
    const pod = await walk.until(
      'looping',
      (each) => statusOf(each).restartCount >= 2,
      'again twice',
    );
    const { startedAt, finishedAt } = statusOf(pod).lastState?.terminated ?? {};
    const times = [pod.metadata.creationTimestamp, startedAt, finishedAt];
    const [made = 0, begun = 0, ended = 0] = times.map((time) => Date.parse(time ?? ''));
    assert.ok(made <= begun && begun <= ended && ended <= Date.now(), times.join(' '));
    await walk.untilEvent(
      'looping',
      /^BackOff: Back-off restarting failed container main in pod looping_default/m,
    );
    await walk.untilEvent('looping', /^Created: Container created$/m);
    await walk.untilEvent('looping', /^Started: Container started$/m);
    const about = 'involvedObject.name=looping,type=Warning';
    const warnings = () => walk.kubectl('get', 'events', '--field-selector', about);
    await walk.answer(warnings, /Warning +BackOff/);
    await walk.kubectl('delete', 'pod', 'looping');
    await walk.create(
      podOf('not-at-all', {
        ...never,
        containers: [{ name: 'main', image: busybox, command: ['true'] }],
      }),
    );
    await walk.untilEnded('not-at-all');
  },
};

/** Since the machine began, in hundredths of a second; no number when there is no such process. */
function beginOf(pid: number): number {
  return Number(readProcess(pid, 'stat').split(') ')[1]?.split(' ')[19]);
}

function parentOf(pid: number): { readonly ppid: number } {
  return { ppid: Number(/^PPid:\s+(\d+)/m.exec(readProcess(pid, 'status'))?.[1]) };
}
