/**
 * Logs that are collected: by an agent on every node, which finds the files of all containers by
 * their links and what they are by the links' names, and by one beside an application. The agents
 * are scripts of the shell with their configuration in a ConfigMap, what they collect is a file.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { covers, superseded } from '#test/covers.ts';
import {
  busybox,
  configMap,
  podOf,
  shell,
  statusOf,
  stay,
  talker,
  type Walkthroughs,
} from '#test/watched-cluster.ts';

/**
 * Follows each log from where it was left. The sections of the configuration are filters, scripts
 * of sed, in the order of their names; an image may bring a filter of its own.
 */
const agent = `
busybox mkdir -p /tmp/at
echo none > /tmp/seen
while true; do
  busybox stat -L -c '%s %n' $LOGS 2> /dev/null > /tmp/now
  busybox grep -vxFf /tmp/seen /tmp/now | while read -r size file; do
    name=\${file##*/}
    name=\${name%.log}
    from=1
    [ ! -e "/tmp/at/$name" ] || read -r from < "/tmp/at/$name"
    busybox tail -n "+$from" "$file" > /tmp/new
    lines=$(busybox wc -l < /tmp/new)
    echo $((from + lines)) > "/tmp/at/$name"
    busybox head -n "$lines" /tmp/new > /tmp/whole
    for filter in /etc/agent/*.conf; do
      busybox sed -i -E -f "$filter" /tmp/whole
    done
    [ -z "$IMAGE" ] || busybox sed -i 's/$/ image-filter/' /tmp/whole
    busybox sed "s|^|$name |" /tmp/whole >> /sink/all
  done
  busybox mv /tmp/now /tmp/seen
  echo looked
  busybox usleep 400000
done
`;

/** The time of a line of CRI is not kept, its stream is. */
const parser = 's/^[0-9T:.Z+-]+ (stdout|stderr) [FP] /\\1 /\n';

/** Nothing, while an agent has not looked for the first time. */
async function collectedIn(folder: string): Promise<string> {
  const file = join(folder, 'all');
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

export const collectors: Walkthroughs = {
  'an agent on every node collects the logs of all containers': async (walk) => {
    covers('LOG-003', 'LOG-008', 'LOG-015', 'LOG-018', 'LOG-021', 'LOG-022', 'LOG-023', 'POD-222');
    superseded('LOG-026', {
      by: 'v1.26',
      now: 'components write to standard error; ours into logs/ of the data dir, or the journal',
    });
    const { dataDir, folder } = walk.cluster;
    const system = await walk.kubectl('get', 'pods', '-n', 'kube-system', '-o', 'name');
    assert.equal(system, '', 'nobody collects unless told to');
    for (const name of ['coracle', 'node']) {
      assert.ok(existsSync(join(dataDir, 'logs', `${name}.log`)), name);
    }
    const sink = join(folder, 'sink');
    mkdirSync(sink);
    const mounted = (name: string, path: string, mountPath: string, readOnly: boolean) => ({
      volume: { name, hostPath: { path } },
      mount: { name, mountPath, readOnly },
    });
    // Links lead to the logs by whole paths: both are where they are on the node.
    const parts = [
      ...['agent/container-logs', 'agent/pod-logs', 'agent/containerd', 'logs'].map((path, index) =>
        mounted(`logs-${index}`, join(dataDir, path), join(dataDir, path), true),
      ),
      mounted('sink', sink, '/sink', false),
    ];
    const logs = ['agent/container-logs/*.log', 'agent/containerd/containerd.log', 'logs/*.log'];
    const config = { name: 'config', configMap: { name: 'agent-config-1' } };
    const container = shell(agent, {
      name: 'log-agent',
      command: ['/bin/busybox', 'sh', '-c'],
      args: [agent],
      env: [{ name: 'LOGS', value: logs.map((path) => join(dataDir, path)).join(' ') }],
      volumeMounts: [
        ...parts.map(({ mount }) => mount),
        { name: 'config', mountPath: '/etc/agent', readOnly: true },
      ],
    });
    const volumes = [...parts.map(({ volume }) => volume), config];
    const spec = { terminationGracePeriodSeconds: 1, containers: [container] };
    await walk.create(configMap('agent-config-1', { '10-containers.input.conf': parser }), {
      ...{ apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { name: 'log-agent' } },
      spec: {
        selector: { matchLabels: { app: 'log-agent' } },
        template: { metadata: { labels: { app: 'log-agent' } }, spec: { ...spec, volumes } },
      },
    });
    // One that the node has from a file, as nodes had it before there were DaemonSets.
    const file = join(dataDir, 'agent/pod-manifests/log-agent.yaml');
    const still = podOf('static-agent', { containers: [shell(stay)] });
    writeFileSync(file, JSON.stringify(still));
    await walk.untilReady(`static-agent-${walk.nodeName}`);
    await walk.kubectl('rollout', 'status', 'daemonset/log-agent', '--timeout=220s');
    const agents = [
      'get',
      'pods',
      '-l',
      'app=log-agent',
      '-o',
      'jsonpath={.items[*].spec.nodeName}',
    ];
    assert.equal(await walk.kubectl(...agents), walk.nodeName);

    const says = 'echo out of $RUN; echo err of $RUN >&2';
    const counter = (run: string) =>
      podOf('collected', {
        containers: [
          shell(`${says}; ${stay}`, { name: 'count', env: [{ name: 'RUN', value: run }] }),
        ],
      });
    await walk.create(counter('first'));
    const first = await walk.untilReady('collected');
    const collected = () => collectedIn(sink);
    const linkOf = (pod: typeof first): string =>
      `collected_default_count-${statusOf(pod).containerID?.replace('containerd://', '')}`;
    const line = (pod: typeof first, words: string) => new RegExp(`^${linkOf(pod)} ${words}$`, 'm');
    await walk.answer(collected, line(first, 'stdout out of first'));
    await walk.answer(collected, line(first, 'stderr err of first'));
    const links = join(dataDir, 'agent/container-logs');
    assert.ok(readdirSync(links).includes(`${linkOf(first)}.log`));
    await walk.answer(collected, /^containerd .*level=info/m);
    await walk.answer(collected, /^node I .* component="kubelet"/m);
    await walk.answer(collected, /^node I .* component="proxy"/m);
    await walk.answer(collected, /^coracle I /m);

    await walk.kubectl('delete', 'pod', 'collected');
    await walk.create(counter('second'));
    const second = await walk.untilReady('collected');
    const both = await walk.answer(collected, line(second, 'stdout out of second'));
    assert.match(both, line(first, 'stdout out of first'));

    // Another configuration under another name: one more filter, and an image that has its own.
    const more = { '10-containers.input.conf': parser, '20-words.conf': 's/out of/words of/\n' };
    await walk.create(configMap('agent-config-2', more));
    const changed = { ...config, configMap: { name: 'agent-config-2' } };
    const containers = [{ name: 'log-agent', image: talker }];
    const patch = { spec: { template: { spec: { containers, volumes: [changed] } } } };
    await walk.kubectl('patch', 'daemonset', 'log-agent', '-p', JSON.stringify(patch));
    await walk.kubectl('rollout', 'status', 'daemonset/log-agent', '--timeout=220s');
    await walk.answer(collected, line(second, 'stdout words of second image-filter'));
    await walk.kubectl('delete', 'daemonset', 'log-agent');
    rmSync(file);
    await walk.untilGone(`static-agent-${walk.nodeName}`);
    await walk.kubectl('delete', 'pod', 'collected');
    const isGone = (): boolean => !readdirSync(links).some((name) => name.startsWith('collected_'));
    await walk.eventually(isGone, 'links go with their logs');
  },

  'an agent beside an application': async (walk) => {
    covers('LOG-017');
    const folder = join(walk.cluster.folder, 'side-sink');
    mkdirSync(folder);
    const varlog = { name: 'varlog', mountPath: '/var/log' };
    const writes =
      'i=0; while true; do echo "$i: one" >> /var/log/1.log; echo "two $i" >> /var/log/2.log; i=$((i+1)); sleep 0.2; done';
    const script = agent.replace('for filter in /etc/agent/*.conf', 'for filter in $FLUENTD_ARGS');
    await walk.create(
      configMap('sidecar-config', { 'fluentd.conf': 's/^/format-none /\n' }),
      podOf('with-agent', {
        containers: [
          shell(writes, { name: 'count', volumeMounts: [varlog] }),
          {
            ...{ name: 'count-agent', image: busybox, command: ['sh', '-c', script] },
            env: [
              { name: 'FLUENTD_ARGS', value: '/etc/agent/fluentd.conf' },
              { name: 'LOGS', value: '/var/log/1.log /var/log/2.log' },
            ],
            volumeMounts: [
              varlog,
              { name: 'config', mountPath: '/etc/agent' },
              { name: 'sink', mountPath: '/sink' },
            ],
          },
        ],
        volumes: [
          { name: 'varlog', emptyDir: {} },
          { name: 'config', configMap: { name: 'sidecar-config' } },
          { name: 'sink', hostPath: { path: folder } },
        ],
      }),
    );
    await walk.untilReady('with-agent');
    const collected = () => collectedIn(folder);
    await walk.answer(collected, /^1 format-none 0: one$/m);
    await walk.answer(collected, /^2 format-none two 0$/m);
    await walk.answer(collected, /^2 format-none two 5$/m);
    const said = await walk.kubectl('logs', 'with-agent', '--all-containers');
    assert.match(said, /looked/);
    assert.doesNotMatch(said, /one|two/);
    await walk.kubectl('delete', 'pod', 'with-agent');
  },
};
