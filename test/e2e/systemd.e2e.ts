/**
 * A cluster as a service of a machine that systemd runs: installed, its pods in slices that systemd
 * makes, ended in peace when the machine is shut down, there again after the next boot, and gone
 * without a trace when it is uninstalled. The machine is made for the test, of namespaces.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { buildImage } from '#images';
import { present } from '#kit/assert.ts';
import { systemClock } from '#kit/clock.ts';
import { covers, superseded } from '#test/covers.ts';
import { busyboxTree } from '#test/real-node.ts';
import { stepsOf } from '#test/steps.ts';
import { SystemdMachine, whyNoMachine } from '#test/systemd-machine.ts';

const clock = systemClock();
const { signal } = new AbortController();
const coracle = [process.execPath, resolve(import.meta.dirname, '../../bin/coracle.js')] as const;
const image = 'localhost/busybox:service';

interface PodView {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly status: {
    readonly phase: string;
    readonly reason?: string;
    readonly containerStatuses?: readonly {
      readonly ready: boolean;
      readonly containerID: string;
    }[];
  };
}

const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: {
        containers: [
          {
            ...{ name: 'web', image, command: ['sh', '-c'] },
            args: ['trap "exit 0" TERM; sleep 1000 & wait'],
            resources: { requests: { cpu: '50m' }, limits: { cpu: '205m', memory: '64Mi' } },
          },
        ],
      },
    },
  },
};

class Service {
  readonly machine: SystemdMachine;

  constructor(machine: SystemdMachine) {
    this.machine = machine;
  }

  kubectl(...args: readonly string[]): Promise<string> {
    const kubeconfig = '/var/lib/coracle/admin.kubeconfig';
    return this.machine.run('kubectl', '--kubeconfig', kubeconfig, ...args);
  }

  async pods(): Promise<readonly PodView[]> {
    const text = await this.kubectl('get', 'pods', '-o', 'json');
    // kubectl prints the list that the API server gave.
    return (JSON.parse(text) as { items: readonly PodView[] }).items;
  }

  /** The one that runs, once it is ready and in no list of those before. */
  async ready(before: readonly PodView[] = []): Promise<PodView> {
    const untilMs = clock.monotonic() + 90_000;
    const old = before.map(({ status }) => status.containerStatuses?.[0]?.containerID);
    for (;;) {
      const all = await this.pods().catch(() => []);
      const found = all.find(({ status }) => {
        const [container] = status.containerStatuses ?? [];
        return container?.ready === true && !old.includes(container.containerID);
      });
      if (found !== undefined) return found;
      if (clock.monotonic() > untilMs) throw new Error(`no pod is ready: ${JSON.stringify(all)}`);
      await clock.sleep(200, { signal });
    }
  }

  /** Properties of a unit of systemd, by name. */
  async show(unit: string): Promise<Readonly<Record<string, string>>> {
    const lines = (await this.machine.run('systemctl', 'show', unit)).split('\n');
    return Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  }

  /** Folders of cgroups of which the name has this in it, in any hierarchy. */
  async cgroups(word: string): Promise<readonly string[]> {
    const found = await this.machine.run('find', '/sys/fs/cgroup', '-name', `*${word}*`);
    return found.split('\n').filter((line) => line !== '');
  }
}

/** Without the programs for it there is no such machine, and nothing to try. */
if (whyNoMachine() === undefined) {
  test('the cluster as a service of systemd', { timeout: 480_000 }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'coracle-e2e-'));
    try {
      await using machine = await SystemdMachine.open(folder);
      await tryService(
        new Service(machine),
        stepsOf(t, () => logsOf(machine)),
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

async function logsOf(machine: SystemdMachine): Promise<string> {
  const journal = await machine.try('journalctl', '-u', 'coracle', '--no-pager');
  const node = await machine.try('tail', '-n', '40', '/var/lib/coracle/logs/node.log');
  return journal.stdout + node.stdout;
}

async function tryService(service: Service, step: ReturnType<typeof stepsOf>): Promise<void> {
  const { machine } = service;
  const data = join(machine.disk, 'data');
  const kubeletConfig = '/var/lib/coracle/kubelet.yaml';
  const configure = (cgroupDriver?: 'systemd'): void => {
    const times = { shutdownGracePeriod: '20s', shutdownGracePeriodCriticalPods: '5s' };
    const head = { apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration' };
    const text = JSON.stringify({ ...head, cgroupDriver, ...times, podLogsDir: '/var/log/pods' });
    writeFileSync(join(data, 'kubelet.yaml'), text);
  };
  let first: PodView | undefined;
  await step('install starts it, and waits until it is ready', async () => {
    mkdirSync(join(data, 'images'));
    const outputPath = join(data, 'images', 'busybox.tar');
    await buildImage({
      reference: image,
      outputPath,
      config: { Cmd: ['sh'] },
      rootfs: busyboxTree(),
    });
    configure('systemd');
    const place = ['--data-dir', '/var/lib/coracle', '--kubelet-config', kubeletConfig];
    const flags = [...place, '--logtostderr'];
    await machine.run(...coracle, 'install', '--', ...flags);
    const { ActiveState, Type } = await service.show('coracle.service');
    assert.deepEqual([ActiveState, Type], ['active', 'notify']);
  });
  await step('pods are in slices of systemd, with their limits', async () => {
    writeFileSync(join(data, 'web.json'), JSON.stringify(deployment));
    await service.kubectl('apply', '-f', '/var/lib/coracle/web.json');
    first = await service.ready();
    const { uid } = first.metadata;
    const [slice = ''] = await service.cgroups(
      `kubepods-burstable-pod${uid.replaceAll('-', '_')}.slice`,
    );
    const limits = await service.show(slice.slice(slice.lastIndexOf('/') + 1));
    // 20.5 % of a processor are 21 whole ones; version 1 and 2 name memory differently.
    assert.equal(limits['CPUQuotaPerSecUSec'], '210ms');
    assert.ok([limits['MemoryLimit'], limits['MemoryMax']].includes(String(64 * 1024 ** 2)));
    const id = first.status.containerStatuses?.[0]?.containerID.replace('containerd://', '');
    const { ActiveState, Slice } = await service.show(`cri-containerd-${id}.scope`);
    assert.deepEqual([ActiveState, slice.endsWith(Slice ?? '-')], ['active', true]);
  });
  await step('what it says is in the journal, what pods say in /var/log', async () => {
    const journal = await machine.run('journalctl', '-u', 'coracle', '--no-pager');
    assert.match(journal, /coracle\[|node\[/);
    assert.match(journal, /: I \d{4}-\S+Z pod bound component="scheduler"/);
    assert.match(journal, /: I \d{4}-\S+Z kubelet ready component="kubelet"/);
    assert.deepEqual((await machine.run('ls', '-A', '/var/lib/coracle/logs')).trim(), '');
    const { name, uid } = present(first, 'a pod ran').metadata;
    const id = first?.status.containerStatuses?.[0]?.containerID.replace('containerd://', '');
    const link = `/var/log/containers/${name}_default_web-${id}.log`;
    const target = `/var/log/pods/default_${name}_${uid}/web/0.log`;
    assert.equal((await machine.run('readlink', link)).trim(), target);
    superseded('LOG-013', {
      by: 'v1.26',
      now: 'to standard error: with --logtostderr the journal, else files of the data dir',
    });
  });
  await step('a machine that is shut down lets its pods end first', async () => {
    const holders = (): Promise<string> => machine.run('systemd-inhibit', '--list', '--no-pager');
    const untilMs = clock.monotonic() + 60_000;
    while (!/kubelet .*shutdown/.test(await holders())) {
      assert.ok(clock.monotonic() < untilMs, 'the kubelet holds up shutdowns');
      await clock.sleep(100, { signal });
    }
    await machine.powerOff();
    // Then cgroups are made by name.
    configure();
    await machine.start();
  });
  await step('it is there again after the boot, and so are its pods', async () => {
    const second = await service.ready(first === undefined ? [] : [first]);
    const ended = (await service.pods()).find(
      ({ metadata }) => metadata.uid === first?.metadata.uid,
    );
    assert.deepEqual([ended?.status.phase, ended?.status.reason], ['Failed', 'Terminated']);
    const [path = ''] = await service.cgroups(`pod${second.metadata.uid}`);
    assert.match(path, /\/coracle-[a-z0-9]+\/kubepods\/burstable\/pod[0-9a-f-]+$/);
    assert.deepEqual(await service.cgroups('kubepods-burstable'), []);
    covers('POD-266');
  });
  await step('uninstall leaves nothing', async () => {
    await machine.run(...coracle, 'uninstall');
    assert.deepEqual(await service.cgroups('kubepods'), []);
    const units = await machine.run('systemctl', 'list-units', '--all', '--plain', '--no-legend');
    assert.doesNotMatch(units, /coracle\.service|cri-containerd/);
    const processes = await machine.run('ps', '-eo', 'args');
    assert.doesNotMatch(processes, /containerd|coracle\.js/);
    // The data dir is a mount of its own there, which stays, and so do the data.
    assert.match(await machine.run('ls', '/var/lib/coracle'), /cluster\.json/);
    await machine.run(...coracle, 'reset', '--yes', '--data-dir', '/var/lib/coracle');
    assert.equal(await machine.run('ls', '-A', '/var/lib/coracle'), '');
    assert.match(await machine.run('cat', '/proc/mounts'), / \/var\/lib\/coracle /);
  });
}
