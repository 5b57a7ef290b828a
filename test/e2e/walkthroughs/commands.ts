/**
 * What a container runs and with which variables: commands, arguments, `$(VAR)`, variables of
 * Services and of the pod itself. With images that are there already; and with one that is not.
 */
import assert from 'node:assert/strict';
import { covers, superseded } from '#test/covers.ts';
import {
  busybox,
  podOf,
  service,
  shell,
  stateOf,
  statusOf,
  stay,
  talker,
  type Walkthroughs,
} from '#test/watched-cluster.ts';

const never = { restartPolicy: 'Never' } as const;

export const commands: Walkthroughs = {
  'command and args over the entry point and arguments of an image': async (walk) => {
    covers('POD-065', 'POD-180', 'POD-191', 'RUN-005', 'RUN-006', 'RUN-023', 'POD-067');
    const image = { name: 'main', image: talker };
    const cases = {
      'neither-given': {},
      'command-only': { command: ['/bin/echo', 'mine'] },
      'args-only': { args: ['given'] },
      'both-given': { command: ['/bin/echo', 'mine'], args: ['given'] },
    };
    await walk.create(
      ...Object.entries(cases).map(([name, more]) =>
        podOf(name, { ...never, containers: [{ ...image, ...more }] }),
      ),
      podOf('never-pulled', {
        ...never,
        containers: [{ ...image, imagePullPolicy: 'Never' }],
      }),
    );
    const said: Record<string, string> = {};
    for (const name of [...Object.keys(cases), 'never-pulled']) {
      const pod = await walk.untilEnded(name);
      assert.equal(pod.status?.phase, 'Succeeded');
      const [container] = pod.spec?.containers ?? [];
      const wanted = name === 'never-pulled' ? 'Never' : 'IfNotPresent';
      assert.equal(container?.imagePullPolicy, wanted);
      said[name] = await walk.logs(name);
    }
    assert.deepEqual(said, {
      'neither-given': 'entry cmd\n',
      'command-only': 'mine\n',
      'args-only': 'entry given\n',
      'both-given': 'mine given\n',
      'never-pulled': 'entry cmd\n',
    });
    const change = [{ op: 'add', path: '/spec/containers/0/args', value: ['other'] }];
    const patch = ['patch', 'pod', 'neither-given', '--type=json', '-p', JSON.stringify(change)];
    const refused = await walk.tryKubectl(...patch);
    assert.match(refused.stderr, /Forbidden: pod updates may not change fields other than/);
  },

  'command-demo prints its variables': async (walk) => {
    covers('POD-181', 'CLI-038');
    await walk.create(
      podOf('command-demo', {
        ...never,
        containers: [
          {
            ...{ name: 'command-demo-container', image: talker },
            ...{ command: ['printenv'], args: ['HOSTNAME', 'KUBERNETES_PORT'] },
          },
        ],
      }),
    );
    await walk.untilEnded('command-demo');
    const ip = await walk.kubectl('get', 'svc', 'kubernetes', '-o', 'jsonpath={.spec.clusterIP}');
    assert.equal(await walk.logs('command-demo'), `command-demo\ntcp://${ip}:443\n`);
  },

  'variables: given, from the image, of other variables, in arguments': async (walk) => {
    covers('POD-034', 'POD-073', 'POD-178', 'POD-183');
    superseded('CLI-247', { by: 'v1.31', now: 'the command comes after --' });
    await walk.create(
      podOf('envar-demo', {
        containers: [
          {
            ...{ name: 'main', image: talker, command: ['sleep', '3600'] },
            env: [
              { name: 'DEMO_GREETING', value: 'Hello from the environment' },
              { name: 'DEMO_BOTH', value: '$(DEMO_GREETING), twice: $$(DEMO_GREETING) $(NONE)' },
            ],
          },
        ],
      }),
      podOf('print-greeting', {
        ...never,
        containers: [
          {
            ...{ name: 'main', image: busybox, command: ['/bin/echo'] },
            env: [
              { name: 'SPECIAL_LEVEL_KEY', value: 'very' },
              { name: 'SPECIAL_TYPE_KEY', value: 'charm' },
            ],
            args: ['$(SPECIAL_LEVEL_KEY) $(SPECIAL_TYPE_KEY)'],
          },
        ],
      }),
    );
    await walk.untilReady('envar-demo');
    const lines = (await walk.exec('envar-demo', 'printenv')).split('\n');
    assert.ok(lines.includes('DEMO_GREETING=Hello from the environment'));
    const bare = await walk.tryKubectl('exec', 'envar-demo', 'printenv');
    assert.match(bare.stderr, /exec \[POD\] \[COMMAND\] is not supported anymore/);
    const both = 'Hello from the environment, twice: $(DEMO_GREETING) $(NONE)';
    assert.ok(lines.includes(`DEMO_BOTH=${both}`));
    assert.ok(lines.includes('IMAGE=yes'), 'what the image brings');
    const command = await walk.exec('envar-demo', 'cat', '/proc/1/cmdline');
    assert.equal(command, 'sleep\u00003600\0');
    await walk.untilEnded('print-greeting');
    assert.equal(await walk.logs('print-greeting'), 'very charm\n');
  },

  'a script arrives byte by byte': async (walk) => {
    covers('POD-315');
    const script = [
      "echo 'one \\'\"'\"' two' \"$HOME\" `echo three` \\",
      '  "a \\"quoted\\" word" $((1 + 2)) ü € \\\\',
      '# [[ `hostname` =~ -([0-9]+)$ ]] || exit 1',
      '# ends here\t',
    ].join('\n');
    const yaml = [
      'apiVersion: v1\nkind: Pod\nmetadata: {name: block-script}\nspec:\n  containers:',
      `  - name: main\n    image: ${busybox}\n    command:\n    - sh\n    - -c`,
      '    - |',
      ...script.split('\n').map((line) => `      ${line}`),
      '      trap exit TERM; while true; do sleep 1; done',
      '    - "folded \\\n       line"',
      '  terminationGracePeriodSeconds: 1\n',
    ].join('\n');
    const made = await walk.cluster.kubectlWith({ input: yaml }, 'create', '-f', '-');
    assert.equal(made.code, 0, made.stderr);
    await walk.untilReady('block-script');
    const line = await walk.exec('block-script', 'cat', '/proc/1/cmdline');
    const tail = 'trap exit TERM; while true; do sleep 1; done\n';
    const whole = `${script}\n${tail}`;
    assert.equal(line, ['sh', '-c', whole, 'folded line', ''].join('\0'));
  },

  'variables of Services, if the Service was there first': async (walk) => {
    covers('POD-074', 'POD-134', 'POD-182', 'SVC-032', 'SVC-040', 'SVC-046', 'SVC-068');
    covers('SVC-083');
    await walk.kubectl('create', 'namespace', 'with-services');
    const namespace = 'with-services';
    const named = { name: 'redis-master', namespace };
    await walk.create(podOf('too-early', { containers: [shell(stay)] }, { namespace }));
    await walk.untilReady('with-services/too-early');
    await walk.create(
      { ...service('', { ports: [{ port: 6379 }] }), metadata: named },
      {
        ...service('', {
          ports: [
            { name: 'http', port: 80 },
            { name: 'dns-udp', port: 53, protocol: 'UDP' },
          ],
        }),
        metadata: { name: 'many', namespace },
      },
    );
    const get = ['get', 'svc', '-n', namespace, 'redis-master', 'many'];
    const ips = await walk.kubectl(...get, '-o', 'jsonpath={.items[*].spec.clusterIP}');
    const [ip = '', many = ''] = ips.split(' ');
    // Names do not care who was first. Once the node answers for both, it knows of both.
    for (const [name, address] of Object.entries({ 'redis-master': ip, many })) {
      const lookup = ['nslookup', `${name}.with-services.svc.cluster.local`];
      const answered = new RegExp(`Address: ${address.replaceAll('.', '\\.')}$`, 'm');
      await walk.answer(() => walk.exec('with-services/too-early', ...lookup), answered);
    }
    await walk.create(podOf('in-time', { containers: [shell(stay)] }, { namespace }));
    await walk.untilReady('with-services/in-time');
    const lines = (await walk.exec('with-services/in-time', 'env')).split('\n');
    const redis = lines.filter((line) => line.startsWith('REDIS_MASTER_')).sort();
    assert.deepEqual(redis, [
      `REDIS_MASTER_PORT=tcp://${ip}:6379`,
      `REDIS_MASTER_PORT_6379_TCP=tcp://${ip}:6379`,
      `REDIS_MASTER_PORT_6379_TCP_ADDR=${ip}`,
      'REDIS_MASTER_PORT_6379_TCP_PORT=6379',
      'REDIS_MASTER_PORT_6379_TCP_PROTO=tcp',
      `REDIS_MASTER_SERVICE_HOST=${ip}`,
      'REDIS_MASTER_SERVICE_PORT=6379',
    ]);
    for (const line of [
      'MANY_SERVICE_PORT_HTTP=80',
      'MANY_SERVICE_PORT_DNS_UDP=53',
      `MANY_PORT_53_UDP=udp://${many}:53`,
      'KUBERNETES_SERVICE_PORT_HTTPS=443',
    ]) {
      assert.ok(lines.includes(line), line);
    }
    const early = await walk.exec('with-services/too-early', 'env');
    assert.doesNotMatch(early, /REDIS_MASTER/);
    assert.match(early, /KUBERNETES_SERVICE_HOST=/);
    await walk.create(
      podOf('no-links', { containers: [shell(stay)], enableServiceLinks: false }, { namespace }),
    );
    await walk.untilReady('with-services/no-links');
    const unlinked = await walk.exec('with-services/no-links', 'env');
    assert.doesNotMatch(unlinked, /REDIS_MASTER/);
    assert.match(unlinked, /KUBERNETES_SERVICE_HOST=/);
  },

  'an image that cannot be had': async (walk) => {
    covers('POD-066');
    const absent = 'registry.invalid:5000/some/folder/absent:1.0';
    await walk.create(
      podOf('absent', { containers: [{ name: 'main', image: absent }] }),
      podOf('always', { containers: [{ ...shell(stay), imagePullPolicy: 'Always' }] }),
      podOf('badly-named', { containers: [{ name: 'main', image: 'Not/AN:image:name' }] }),
    );
    for (const name of ['absent', 'always']) {
      // It passes by: the state of one pod may be the next before the other's has been looked at.
      await walk.untilWas(name, (pod) => /ErrImagePull/.test(stateOf(pod)), 'not pulled');
      await walk.until(name, (pod) => /ImagePullBackOff/.test(stateOf(pod)), 'backing off');
    }
    await walk.until('badly-named', (pod) => /InvalidImageName/.test(stateOf(pod)), 'refused');
    await walk.untilEvent('absent', new RegExp(`^Pulling: Pulling image "${absent}"$`, 'm'));
    await walk.untilEvent(
      'absent',
      /^Failed: Failed to pull image "registry.invalid:5000.*lookup/m,
    );
    await walk.untilEvent('absent', /^Failed: Error: ErrImagePull$/m);
    await walk.untilEvent('always', /^Pulling: Pulling image "localhost\/busybox:1.35"$/m);
    const describe = () => walk.kubectl('describe', 'pod', 'absent');
    await walk.answer(describe, /Pulling +\S+ \(x([2-9]|\d\d+) over/);
    const counted = /Warning +Failed +\S+ \(x\d+ over .*Error: (ErrImagePull|ImagePullBackOff)/;
    const text = await walk.answer(describe, counted);
    assert.match(text, /Reason: +(ErrImagePull|ImagePullBackOff)/);
  },

  'a container that cannot be started': async (walk) => {
    covers('POD-024');
    const labels = { shows: 'why' };
    const rows = walk.cluster.spawnKubectl('get', 'pods', '-l', 'shows=why', '--watch');
    const command = ['/no/such/command'];
    const image = 'registry.invalid:5000/absent:1';
    await walk.create(
      podOf('not-found', { containers: [{ name: 'main', image: busybox, command }] }, { labels }),
      podOf('no-image', { containers: [{ name: 'main', image }] }, { labels }),
      podOf('ends-badly', { ...never, containers: [shell('exit 1')] }, { labels }),
    );
    for (const pattern of [
      /^not-found +0\/1 +RunContainerError /m,
      /^not-found +0\/1 +CrashLoopBackOff /m,
      /^no-image +0\/1 +ErrImagePull +0 /m,
      /^ends-badly +0\/1 +Error +0 /m,
    ]) {
      await walk.eventually(() => pattern.test(rows.text()), rows.text);
    }
    rows.kill();
    await walk.kubectl('delete', 'pod', 'not-found', 'no-image');
    await walk.create(
      podOf('no-such-command', {
        ...never,
        containers: [{ name: 'main', image: busybox, command: ['/no/such/command'] }],
      }),
    );
    const pod = await walk.untilEnded('no-such-command');
    assert.equal(stateOf(pod), 'Terminated: StartError 128');
    const { message } = statusOf(pod).state?.terminated ?? {};
    assert.match(message ?? '', /no such file or directory/);
    const row = await walk.kubectl('get', 'pod', 'no-such-command', '--no-headers');
    assert.match(row, /^no-such-command +0\/1 +StartError +0 /);
  },

  'ids of containers and images name the runtime': async (walk) => {
    const now = 'containerd:// and the containerd version';
    superseded('RUN-022', { by: 'v1.24', now });
    superseded('POD-312', { by: 'v1.24', now: 'the same template prints containerd://1.6.20' });
    superseded('RUN-013', { by: 'v1.24', now: 'containerd through CRI is the runtime' });
    covers('RUN-025');
    await walk.create(podOf('id-demo', { containers: [shell(stay)] }));
    const pod = await walk.untilReady('id-demo');
    assert.match(statusOf(pod).containerID ?? '', /^containerd:\/\/[0-9a-f]{64}$/);
    assert.match(statusOf(pod).imageID ?? '', /sha256:[0-9a-f]{64}$/);
    const template = '{range .items[*]}{@.metadata.name}: {@.status.nodeInfo.';
    const version = (field: string) =>
      walk.kubectl('get', 'nodes', '-o', `jsonpath=${template}${field}}{"\\n"}{end}`);
    const runtime = await version('containerRuntimeVersion');
    assert.match(runtime, new RegExp(`^${walk.nodeName}: containerd://\\d+\\.\\d+`));
    assert.match(await version('kubeletVersion'), new RegExp(`^${walk.nodeName}: v1\\.36\\.`));
  },

  'a pod of a set has its Service in its full name': async (walk) => {
    covers('POD-301');
    const labels = { app: 'zk' };
    await walk.create(
      service('zk-hs', { clusterIP: 'None', selector: labels, ports: [{ port: 2888 }] }),
      {
        ...{ apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: 'zk' } },
        spec: {
          ...{ serviceName: 'zk-hs', replicas: 1, selector: { matchLabels: labels } },
          template: { metadata: { labels }, spec: { containers: [shell(stay)] } },
        },
      },
    );
    await walk.untilReady('zk-0');
    const full = await walk.exec('zk-0', 'hostname', '-f');
    assert.equal(full, 'zk-0.zk-hs.default.svc.cluster.local\n');
    await walk.kubectl('delete', 'statefulset,service', 'zk', 'zk-hs', '--ignore-not-found');
  },
};
