/**
 * A cluster of one real node for many walkthroughs at once, with the real kubectl, and one watch
 * (`kubectl get pods --watch`) that knows every state in which each pod has been.
 *
 * Walkthroughs (`test/e2e/walkthroughs/*.ts`) say what a user types and what that shows. They run
 * side by side in this one cluster, so that waiting for one costs the others nothing; each uses
 * names of its own. `test/e2e/walkthroughs.e2e.ts` opens it and runs them.
 */
import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildImage } from '#images';
import { type CommandResult, runCommand } from '#kit/run-command.ts';
import type {
  Container,
  ContainerStatus,
  Event,
  Pod,
  PodSpec,
  Volume,
} from '#resources/types/core-v1.ts';
import { ClusterProcess } from './cluster-process.ts';

export const busybox = 'localhost/busybox:1.35';
export const nginx = 'localhost/nginx:1.22';
/** Has an entry point and arguments of its own, and a variable. */
export const talker = 'localhost/talker:1.0';

export type Walkthroughs = Readonly<Record<string, (walk: WatchedCluster) => Promise<void>>>;

/** Anything that kubectl creates. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** Many walkthroughs share the machine. */
const untilMs = 240_000;
const never = new AbortController().signal;

/** Of the node: what walkthroughs need besides the defaults. */
const kubeletConfiguration = `
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
allowedUnsafeSysctls: ['kernel.msg*']
kubeReserved: { memory: 50Mi }
`;

export class WatchedCluster implements AsyncDisposable {
  readonly cluster: ClusterProcess;
  readonly nodeName: string;
  readonly #watches: readonly ReturnType<ClusterProcess['spawnKubectl']>[];
  readonly #states = new Map<string, Pod[]>();
  /** By name of a pod: uids of those before the one that was made last. */
  readonly #earlier = new Map<string, ReadonlySet<string>>();
  readonly #gone = new Set<string>();
  /** By uid, in the order in which they came. */
  readonly #events = new Map<string, Event>();

  private constructor(cluster: ClusterProcess, nodeName: string) {
    this.cluster = cluster;
    this.nodeName = nodeName;
    this.#watches = [
      this.#watch<Pod>('pods', (type, pod) => this.#note(type, pod)),
      this.#watch<Event>('events', (_type, event) => {
        this.#events.set(event.metadata.uid ?? '', event);
      }),
    ];
  }

  static async open(): Promise<WatchedCluster> {
    const cluster = await ClusterProcess.open({ kubeletConfiguration });
    try {
      await cluster.up();
      const node = await cluster.kubectl(
        'get',
        'nodes',
        '-o',
        'jsonpath={.items[0].metadata.name}',
      );
      const walk = new WatchedCluster(cluster, node);
      await walk.#loadTalker();
      await walk.#untilImages();
      return walk;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** An image that is not an example: made of a folder, loaded while the cluster runs. */
  async #loadTalker(): Promise<void> {
    const outputPath = join(this.cluster.folder, 'talker.tar');
    const rootfs = join(this.cluster.folder, 'talker');
    mkdirSync(join(rootfs, 'bin'), { recursive: true });
    mkdirSync(join(rootfs, 'etc'));
    cpSync('/usr/bin/busybox', join(rootfs, 'bin/busybox'));
    for (const name of ['sh', 'echo', 'env', 'sleep', 'cat', 'kill', 'ls']) {
      symlinkSync('busybox', join(rootfs, 'bin', name));
    }
    // Not a part of Debian's busybox.
    const printenv =
      '#!/bin/sh\n[ $# -gt 0 ] || exec env\nfor name; do eval "echo \\$$name"; done\n';
    writeFileSync(join(rootfs, 'bin/printenv'), printenv, { mode: 0o755 });
    await buildImage({
      ...{ rootfs, reference: talker, outputPath },
      config: { Entrypoint: ['/bin/echo', 'entry'], Cmd: ['cmd'], Env: ['PATH=/bin', 'IMAGE=yes'] },
    });
    const load = ['image', 'load', outputPath, '--data-dir', this.cluster.dataDir];
    const loaded = await this.run(process.execPath, ['bin/coracle.js', ...load]);
    assert.equal(loaded.code, 0, loaded.stderr);
    rmSync(outputPath);
  }

  /** A cluster is ready before all of the example images are loaded. */
  async #untilImages(): Promise<void> {
    const list = ['bin/coracle.js', 'image', 'ls', '--data-dir', this.cluster.dataDir];
    await this.eventually(async () => {
      const { stdout } = await this.run(process.execPath, list);
      return [busybox, nginx, talker].every((image) => stdout.includes(image));
    }, 'the images are loaded');
  }

  /** A program on this machine, which is the node. */
  run(program: string, args: readonly string[]): Promise<CommandResult> {
    return runCommand(program, args, { signal: never, timeoutMs: untilMs });
  }

  /** In the order in which they are given, with `kubectl create`. */
  async create(...manifests: readonly Manifest[]): Promise<string> {
    return await this.#send('create', manifests);
  }

  async apply(...manifests: readonly Manifest[]): Promise<string> {
    return await this.#send('apply', manifests);
  }

  async replace(...manifests: readonly Manifest[]): Promise<string> {
    return await this.#send('replace', manifests);
  }

  async #send(verb: string, manifests: readonly Manifest[]): Promise<string> {
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests });
    for (const { kind, metadata } of verb === 'create' ? manifests : []) {
      if (kind === 'Pod') this.#beginAnew(`${metadata.namespace ?? 'default'}/${metadata.name}`);
    }
    const result = await this.cluster.kubectlWith({ input }, verb, '-f', '-');
    assert.equal(result.code, 0, result.stderr);
    return result.stdout;
  }

  kubectl(...args: readonly string[]): Promise<string> {
    return this.cluster.kubectl(...args);
  }

  tryKubectl(...args: readonly string[]): Promise<CommandResult> {
    return this.cluster.tryKubectl(...args);
  }

  exec(name: string, ...command: readonly string[]): Promise<string> {
    return this.cluster.kubectl('exec', ...at(name), '--', ...command);
  }

  logs(name: string, ...more: readonly string[]): Promise<string> {
    return this.cluster.kubectl('logs', ...at(name), ...more);
  }

  /** Whether its state was ever like this. `namespace/name`, or a name in `default`. */
  everWas(name: string, like: (pod: Pod) => boolean): boolean {
    return this.#states.get(full(name))?.some(like) === true;
  }

  isGone(name: string): boolean {
    return this.#gone.has(full(name));
  }

  /** What was seen of a pod that had the name before says nothing of the next one. */
  #beginAnew(name: string): void {
    const uids = (this.#states.get(name) ?? []).map(({ metadata }) => metadata.uid ?? '');
    this.#earlier.set(name, new Set(uids));
  }

  /** Of the pod that has the name now. */
  #last(name: string): Pod | undefined {
    const pod = this.isGone(name) ? undefined : this.#states.get(full(name))?.at(-1);
    const uid = pod?.metadata.uid ?? '';
    return this.#earlier.get(full(name))?.has(uid) === true ? undefined : pod;
  }

  async until(name: string, wanted: (pod: Pod) => boolean, what: string): Promise<Pod> {
    const last = (): Pod | undefined => this.#last(name);
    let found: Pod | undefined;
    await this.eventually(
      () => {
        const pod = last();
        if (pod !== undefined && wanted(pod)) found = pod;
        return found !== undefined;
      },
      () => `${name} is ${what}: ${JSON.stringify(last()?.status, undefined, 1)}`,
    );
    assert.ok(found);
    return found;
  }

  untilReady(name: string): Promise<Pod> {
    return this.until(name, (pod) => condition(pod, 'Ready') === 'True', 'ready');
  }

  /** Succeeded or Failed. */
  untilEnded(name: string): Promise<Pod> {
    const hasEnded = ({ status }: Pod): boolean => /Succeeded|Failed/.test(status?.phase ?? '');
    return this.until(name, hasEnded, 'over');
  }

  async untilGone(name: string): Promise<void> {
    await this.eventually(
      () => this.isGone(name),
      () => `${name} is gone`,
    );
  }

  async eventually(
    holds: () => boolean | Promise<boolean>,
    what: string | (() => string),
    { limitMs = untilMs, everyMs = 40 } = {},
  ): Promise<void> {
    const deadline = performance.now() + limitMs;
    while (!(await holds())) {
      const text = typeof what === 'string' ? what : what();
      assert.ok(performance.now() < deadline, `after ${limitMs} ms still not: ${text}`);
      await sleep(everyMs);
    }
  }

  /** Asks until the answer is as wanted, and gives it; what cannot be asked yet is asked again. */
  async answer(
    ask: () => Promise<string>,
    wanted: RegExp,
    limitMs: number = untilMs,
  ): Promise<string> {
    let said = '';
    await this.eventually(
      async () => {
        try {
          said = await ask();
          return wanted.test(said);
        } catch (error) {
          said = String(error);
          return false;
        }
      },
      () => `${wanted} in: ${said}`,
      // Each time a program runs.
      { limitMs, everyMs: 250 },
    );
    return said;
  }

  /** `Reason: message` of the events about a pod, in the order in which they came first. */
  events(name: string): readonly string[] {
    const [namespace, podName] = full(name).split('/');
    return [...this.#events.values()]
      .filter(
        ({ involvedObject: about }) => about.namespace === namespace && about.name === podName,
      )
      .map(({ reason, message }) => `${reason}: ${message}`);
  }

  /** Until its state was once like this, however soon it passed by. */
  async untilWas(name: string, like: (pod: Pod) => boolean, what: string): Promise<void> {
    await this.eventually(
      () => this.everWas(name, like),
      () => `${name} was ${what}: ${JSON.stringify(this.#last(name)?.status, undefined, 1)}`,
    );
  }

  async untilEvent(name: string, wanted: RegExp): Promise<void> {
    await this.eventually(
      () => wanted.test(this.events(name).join('\n')),
      () => `${wanted} in: ${this.events(name).join('\n')}`,
    );
  }

  /** The first process of a container, as this machine numbers it. */
  async pid(name: string, container?: string): Promise<number> {
    const pod = await this.until(name, (each) => stateOf(each, container) === 'Running', 'running');
    const id = statusOf(pod, container).containerID?.replace('containerd://', '') ?? '';
    const ids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
    const all = ids.map(Number).filter((pid) => readProcess(pid, 'cgroup').includes(id));
    const parentOf = (pid: number) =>
      Number(/^PPid:\s+(\d+)/m.exec(readProcess(pid, 'status'))?.[1]);
    const first = all.find((pid) => parentOf(pid) > 0 && !all.includes(parentOf(pid)));
    assert.ok(first, `no process of ${name}`);
    return first;
  }

  /** Ends the first process of a container from outside; asks again if it has just changed. */
  async kill(name: string, container?: string): Promise<void> {
    await this.eventually(async () => {
      const id = await this.pid(name, container);
      try {
        return process.kill(id, 'SIGKILL');
      } catch {
        // It has ended by itself just now.
        return false;
      }
    }, `${name} is killed`);
  }

  /** A control file of a container, wherever this machine mounts that controller. */
  async cgroup(name: string, controller: string, file: string): Promise<string> {
    const lines = readProcess(await this.pid(name), 'cgroup').split('\n');
    const line = lines.find((each) => each.split(':')[1]?.split(',').includes(controller));
    const path = line?.split(':').slice(2).join(':') ?? '';
    return readFileSync(join('/sys/fs/cgroup', controller, path, file), 'utf8').trim();
  }

  /** kubectl prints each event of a watch on a line of its own. */
  #watch<T>(kind: string, note: (type: string, object: T) => void) {
    const what = ['get', kind, '--all-namespaces', '-o', 'json'];
    const child = this.cluster.spawnKubectl(...what, '--watch', '--output-watch-events');
    let unread = '';
    child.stdout?.on('data', (chunk: string) => {
      const lines = (unread + chunk).split('\n');
      unread = lines.pop() ?? '';
      for (const line of lines) {
        // Parse boundary.
        const event = JSON.parse(line) as { readonly type: string; readonly object: T };
        note(event.type, event.object);
      }
    });
    return child;
  }

  #note(type: string, pod: Pod): void {
    const name = `${pod.metadata.namespace}/${pod.metadata.name}`;
    if (type === 'DELETED') this.#gone.add(name);
    else this.#gone.delete(name);
    const states = this.#states.get(name) ?? [];
    states.push(pod);
    this.#states.set(name, states);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const watch of this.#watches) watch.kill();
    await this.cluster[Symbol.asyncDispose]();
  }
}

/** Empty for a process that has ended meanwhile. */
export function readProcess(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

function full(name: string): string {
  return name.includes('/') ? name : `default/${name}`;
}

/** As arguments of kubectl. */
function at(name: string): readonly string[] {
  const [namespace = '', podName = ''] = full(name).split('/');
  return [podName, '-n', namespace];
}

/** A pod as the documents write it; stopping it takes no half minute. */
export function podOf(
  name: string,
  spec: Partial<PodSpec> & Pick<PodSpec, 'containers'>,
  metadata: Partial<Manifest['metadata']> = {},
): Manifest {
  return {
    ...{ apiVersion: 'v1', kind: 'Pod' },
    metadata: { name, ...metadata },
    spec: { terminationGracePeriodSeconds: 1, ...spec },
  };
}

/** A container that runs a script of the shell. */
export function shell(script: string, more: Partial<Container> = {}): Container {
  return { name: 'main', image: busybox, command: ['sh', '-c', script], ...more };
}

/** Stays until it is told to go. */
export const stay = 'trap exit TERM; sleep 86400 & wait';

/** Tells the first process of a container that stays to go, once it listens. */
export const endFirst = 'until busybox pidof sleep; do :; done > /dev/null; kill -TERM 1';

/** A web server that is Ready when it listens. */
export const webServer: Container = {
  ...{ name: 'web', image: nginx },
  readinessProbe: { httpGet: { path: '/', port: 80 }, periodSeconds: 1, timeoutSeconds: 30 },
};

/** Where containers wait until the test lets them go on. */
export class Gate {
  readonly #folder: string;
  /** To be mounted, with the name `gate`. */
  readonly volume: Volume;
  readonly mount = { name: 'gate', mountPath: '/gate' } as const;

  constructor(walk: WatchedCluster, name: string) {
    this.#folder = join(walk.cluster.folder, name);
    mkdirSync(this.#folder);
    this.volume = { name: 'gate', hostPath: { path: this.#folder } };
  }

  /** For the shell of a container. */
  wait(mark: string): string {
    return `until [ -e /gate/${mark} ]; do sleep 0.5; done`;
  }

  open(mark: string): void {
    writeFileSync(join(this.#folder, mark), '');
  }

  /** Whether a container has made it. */
  has(mark: string): boolean {
    return existsSync(join(this.#folder, mark));
  }
}

export function configMap(name: string, data: Readonly<Record<string, string>>): Manifest {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data };
}

export function secret(name: string, stringData: Readonly<Record<string, string>>): Manifest {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData };
}

export function service(name: string, spec: Readonly<Record<string, unknown>>): Manifest {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec };
}

export function condition(pod: Pod, type: string): string | undefined {
  return pod.status?.conditions?.find((each) => each.type === type)?.status;
}

export function isRunning({ status }: Pod): boolean {
  return status?.phase === 'Running';
}

/** Of the only container, or of the one that is named; an empty one as long as there is none. */
export function statusOf({ status }: Pod, container?: string): ContainerStatus {
  const all = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
  const found = container === undefined ? all[0] : all.find(({ name }) => name === container);
  return found ?? { name: '', image: '', imageID: '', ready: false, restartCount: 0 };
}

/** `Waiting: CrashLoopBackOff`, `Running`, `Terminated: Completed 0`. */
export function stateOf(pod: Pod, container?: string): string {
  const { waiting, running, terminated } = statusOf(pod, container).state ?? {};
  if (waiting !== undefined) return `Waiting: ${waiting.reason}`;
  if (running !== undefined) return 'Running';
  if (terminated !== undefined) return `Terminated: ${terminated.reason} ${terminated.exitCode}`;
  return '';
}
