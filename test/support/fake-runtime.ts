/**
 * A container runtime in memory, for tests of the kubelet without containers.
 *
 * Calls answer at once with what was asked; the test is the world: it ends containers (`exit`),
 * decides what commands answer (`onExec`), which images exist, and which calls fail. Containers
 * live in maps that survive a "restart" of the kubelet, as they do in the real one.
 */
import type { Received, Runtime, RuntimeEvent, Sent } from '#cri';
import { GrpcError } from '#cri';
import type { Clock } from '#kit/clock.ts';

interface FakeSandbox {
  readonly id: string;
  readonly config: Sent<'PodSandboxConfig'>;
  readonly createdAt: number;
  readonly ip: string;
  ready: boolean;
}

interface FakeContainer {
  readonly id: string;
  readonly podSandboxId: string;
  readonly config: Sent<'ContainerConfig'>;
  readonly createdAt: number;
  state: 'CONTAINER_CREATED' | 'CONTAINER_RUNNING' | 'CONTAINER_EXITED' | 'CONTAINER_UNKNOWN';
  startedAt: number;
  finishedAt: number;
  exitCode: number;
  reason: string;
}

const millisecond = 1_000_000;

export class FakeRuntime implements Runtime {
  readonly images = new Set<string>();
  imageSizeBytes = 1;
  /** Images that are not here and can be pulled. */
  readonly registry = new Set<string>();
  /** By image: the user name without which the registry does not give it. */
  readonly logins = new Map<string, string>();
  /** What every pull fails with; empty: it does not. */
  pullFailure = '';
  /** Names of calls in order, with what they were about: `startContainer web`. */
  readonly calls: string[] = [];
  /** Names of questions in order: `listContainers`, `containerStatus container-2`. */
  readonly questions: string[] = [];
  /** Exit code and output of a command; default 0. */
  onExec: (cmd: readonly string[]) => { readonly code: number; readonly text?: string } = () => ({
    code: 0,
  });
  /** Containers for which TERM does not help until their grace is over. */
  readonly stubborn = new Set<string>();
  readonly #clock: Clock;
  readonly #sandboxes = new Map<string, FakeSandbox>();
  readonly #containers = new Map<string, FakeContainer>();
  readonly #listeners = new Set<(event: RuntimeEvent) => void>();
  #nextId = 1;

  constructor(deps: { readonly clock: Clock }) {
    this.#clock = deps.clock;
  }

  /** Names of containers that run, in the order of their start. */
  running(): readonly string[] {
    return [...this.#containers.values()]
      .filter(({ state }) => state === 'CONTAINER_RUNNING')
      .map(({ config }) => config.metadata?.name ?? '');
  }

  idOf(name: string): string {
    const found = [...this.#containers.values()].findLast(
      ({ config }) => config.metadata?.name === name,
    );
    if (found === undefined) throw new Error(`there is no container ${name}`);
    return found.id;
  }

  /** Of the newest container of this name. */
  configOf(name: string): Sent<'ContainerConfig'> {
    return this.#container(this.idOf(name)).config;
  }

  /** Of the newest container of this name. */
  mountsOf(name: string): readonly Sent<'Mount'>[] {
    return this.#container(this.idOf(name)).config.mounts ?? [];
  }

  /** Of the newest sandbox of the pod with this uid. */
  sandboxConfigOf(uid: string): Sent<'PodSandboxConfig'> {
    const all = [...this.#sandboxes.values()];
    const found = all.findLast(({ config }) => config.metadata?.uid === uid);
    if (found === undefined) throw new Error(`there is no sandbox of ${uid}`);
    return found.config;
  }

  get sandboxCount(): number {
    return this.#sandboxes.size;
  }

  /** The newest container of this name ends by itself. */
  exit(name: string, exitCode: number, reason = ''): void {
    const container = this.#container(this.idOf(name));
    this.#end(container, exitCode, reason);
  }

  /** As containerd has one of which it had not written down anything when it was killed. */
  forget(id: string): void {
    const container = this.#container(id);
    container.state = 'CONTAINER_UNKNOWN';
    const nothing = { createdAt: 0, startedAt: 0, finishedAt: 0 };
    Object.assign(container, nothing, { exitCode: 255, reason: 'Unknown' });
  }

  /** The news that memory ran out may come after the end itself, and the reason after the news. */
  async tellOutOfMemory(name: string, { afterMs }: { readonly afterMs: number }): Promise<void> {
    const container = this.#container(this.idOf(name));
    this.#tell({ type: 'oom', id: container.id });
    await this.#clock.sleep(afterMs, { signal: new AbortController().signal });
    container.reason = 'OOMKilled';
  }

  /** As if the process that holds the pod's namespaces was killed. */
  loseSandbox(podName: string): void {
    for (const sandbox of this.#sandboxes.values()) {
      if (sandbox.config.metadata?.name !== podName) continue;
      sandbox.ready = false;
      this.#tell({ type: 'exit', id: sandbox.id });
    }
  }

  #end(container: FakeContainer, exitCode: number, reason: string): void {
    const isUnknown = container.state === 'CONTAINER_UNKNOWN';
    if (container.state !== 'CONTAINER_RUNNING' && !isUnknown) return;
    container.state = 'CONTAINER_EXITED';
    container.finishedAt = this.#now();
    if (!isUnknown) Object.assign(container, { exitCode, reason });
    this.#tell({ type: 'exit', id: container.id });
  }

  #tell(event: RuntimeEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #now(): number {
    return this.#clock.now() * millisecond;
  }

  #id(kind: string): string {
    return `${kind}-${this.#nextId++}`;
  }

  #container(id: string): FakeContainer {
    const found = this.#containers.get(id);
    if (found === undefined) throw notFound(id);
    return found;
  }

  #sandbox(id: string): FakeSandbox {
    const found = this.#sandboxes.get(id);
    if (found === undefined) throw notFound(id);
    return found;
  }

  /** What a newer runtime says that it can do. */
  features:
    | { readonly userNamespaces: boolean; readonly supplementalGroupsPolicy: boolean }
    | undefined;
  named = { runtimeName: 'fake', runtimeVersion: '1.0' };

  async version(): Promise<Received<'VersionResponse'>> {
    return { version: 'v1', runtimeApiVersion: 'v1', ...this.named };
  }

  async cgroupDriver(): Promise<undefined> {}

  async status(): Promise<Received<'StatusResponse'>> {
    const conditions = ['RuntimeReady', 'NetworkReady'].map((type) => {
      return { type, status: true, reason: '', message: '' };
    });
    const told = { status: { conditions }, info: {}, runtimeHandlers: [] };
    if (this.features === undefined) return told;
    const { userNamespaces, supplementalGroupsPolicy } = this.features;
    const able = { recursiveReadOnlyMounts: false, userNamespaces };
    return {
      ...told,
      runtimeHandlers: [{ name: '', features: able }],
      features: { supplementalGroupsPolicy, userNamespacesHostNetwork: false },
    };
  }

  async setPodRange(podCidr: string): Promise<void> {
    this.calls.push(`setPodRange ${podCidr}`);
  }

  async runPodSandbox({
    config = {},
    runtimeHandler = '',
  }: Sent<'RunPodSandboxRequest'>): Promise<string> {
    const id = this.#id('sandbox');
    this.calls.push(`runPodSandbox ${config.metadata?.name} ${runtimeHandler}`.trimEnd());
    const ip = `10.88.0.${this.#nextId}`;
    this.#sandboxes.set(id, { id, config, createdAt: this.#now(), ip, ready: true });
    return id;
  }

  async stopPodSandbox(id: string): Promise<void> {
    const sandbox = this.#sandboxes.get(id);
    if (sandbox === undefined) return;
    this.calls.push(`stopPodSandbox ${sandbox.config.metadata?.name}`);
    for (const container of this.#containers.values()) {
      if (container.podSandboxId === id) this.#end(container, 137, 'Error');
    }
    sandbox.ready = false;
  }

  async removePodSandbox(id: string): Promise<void> {
    await this.stopPodSandbox(id);
    for (const container of [...this.#containers.values()]) {
      if (container.podSandboxId === id) this.#containers.delete(container.id);
    }
    this.#sandboxes.delete(id);
  }

  async podSandboxStatus(id: string): Promise<Received<'PodSandboxStatus'>> {
    this.questions.push(`podSandboxStatus ${id}`);
    const sandbox = this.#sandbox(id);
    return { ...this.#describe(sandbox), network: { ip: sandbox.ip, additionalIps: [] } };
  }

  #describe(sandbox: FakeSandbox): Received<'PodSandbox'> {
    const { id, config, createdAt, ready } = sandbox;
    const { name = '', uid = '', namespace = '', attempt = 0 } = config.metadata ?? {};
    return {
      ...{ id, createdAt, metadata: { name, uid, namespace, attempt } },
      state: ready ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY',
      labels: config.labels ?? {},
      annotations: config.annotations ?? {},
      runtimeHandler: '',
    };
  }

  async listPodSandboxes(
    filter: Sent<'PodSandboxFilter'>,
  ): Promise<readonly Received<'PodSandbox'>[]> {
    this.questions.push(`listPodSandboxes ${Object.values(filter.labelSelector ?? {})}`);
    return [...this.#sandboxes.values()]
      .map((sandbox) => this.#describe(sandbox))
      .filter(({ labels }) => matches(labels, filter.labelSelector));
  }

  async createContainer(request: Sent<'CreateContainerRequest'>): Promise<string> {
    const { podSandboxId = '', config = {} } = request;
    this.calls.push(`createContainer ${config.metadata?.name}`);
    const id = this.#id('container');
    this.#containers.set(id, {
      ...{ id, podSandboxId, config, createdAt: this.#now(), state: 'CONTAINER_CREATED' },
      ...{ startedAt: 0, finishedAt: 0, exitCode: 0, reason: '' },
    });
    return id;
  }

  async startContainer(id: string): Promise<void> {
    const container = this.#container(id);
    this.calls.push(`startContainer ${container.config.metadata?.name}`);
    container.state = 'CONTAINER_RUNNING';
    container.startedAt = this.#now();
  }

  async stopContainer(
    id: string,
    { signal, graceSeconds }: { readonly signal: AbortSignal; readonly graceSeconds: number },
  ): Promise<void> {
    const container = this.#container(id);
    const name = container.config.metadata?.name ?? '';
    this.calls.push(`stopContainer ${name} ${graceSeconds}s`);
    if (this.stubborn.has(name)) {
      await this.#clock.sleep(graceSeconds * 1000, { signal });
      this.#end(container, 137, 'Error');
    } else {
      this.#end(container, 0, 'Completed');
    }
  }

  async removeContainer(id: string): Promise<void> {
    this.#containers.delete(id);
  }

  async containerStatus(id: string): Promise<Received<'ContainerStatus'>> {
    this.questions.push(`containerStatus ${id}`);
    return this.#statusOf(id);
  }

  #statusOf(id: string): Received<'ContainerStatus'> {
    const { config, ...container } = this.#container(id);
    const image = imageSpec(config.image?.userSpecifiedImage ?? config.image?.image ?? '');
    const { name = '', attempt = 0 } = config.metadata ?? {};
    return {
      ...container,
      metadata: { name, attempt },
      image,
      imageRef: `sha256:${image.image}`,
      imageId: '',
      message: '',
      labels: config.labels ?? {},
      annotations: config.annotations ?? {},
      mounts: [],
      logPath: config.logPath ?? '',
    };
  }

  async listContainers(filter: Sent<'ContainerFilter'>): Promise<readonly Received<'Container'>[]> {
    this.questions.push(`listContainers ${Object.values(filter.labelSelector ?? {})}`);
    const all = [...this.#containers.values()].map(({ id, podSandboxId }) => {
      return { ...this.#statusOf(id), podSandboxId };
    });
    return all.filter(
      ({ labels, state, podSandboxId }) =>
        matches(labels, filter.labelSelector) &&
        (filter.podSandboxId ?? podSandboxId) === podSandboxId &&
        (filter.state === undefined || filter.state.state === state),
    );
  }

  async updateContainerResources({
    containerId = '',
    linux,
  }: Sent<'UpdateContainerResourcesRequest'>): Promise<void> {
    const name = this.#containers.get(containerId)?.config.metadata?.name;
    const what =
      linux?.cpusetCpus === undefined ? `quota ${linux?.cpuQuota}` : `cpus ${linux.cpusetCpus}`;
    this.calls.push(`updateContainerResources ${name} ${what}`);
  }

  async reopenContainerLog(): Promise<void> {}

  async execSync(
    { cmd }: { readonly cmd: readonly string[] },
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Received<'ExecSyncResponse'>> {
    signal.throwIfAborted();
    this.calls.push(`execSync ${cmd.join(' ')}`);
    const { code, text = '' } = this.onExec(cmd);
    return { exitCode: code, stdout: Buffer.from(text), stderr: Buffer.alloc(0) };
  }

  async exec(): Promise<string> {
    return 'http://127.0.0.1:1/exec';
  }

  async attach(): Promise<string> {
    return 'http://127.0.0.1:1/attach';
  }

  async portForward(): Promise<string> {
    return 'http://127.0.0.1:1/portforward';
  }

  async containerStats(id: string): Promise<Received<'ContainerStats'>> {
    throw notFound(id);
  }

  /** By container name, in bytes. */
  readonly memoryUse = new Map<string, number>();

  async listContainerStats(): Promise<readonly Received<'ContainerStats'>[]> {
    return [...this.#containers.values()].map((container) => ({
      attributes: {
        id: container.id,
        labels: container.config.labels ?? {},
        annotations: {},
        metadata: undefined,
      },
      cpu: undefined,
      memory: {
        timestamp: this.#now(),
        workingSetBytes: { value: this.memoryUse.get(container.config.metadata?.name ?? '') ?? 0 },
        usageBytes: undefined,
      },
      writableLayer: undefined,
    }));
  }

  async pullImage({ image, auth }: Sent<'PullImageRequest'>): Promise<string> {
    const as = auth === undefined ? '' : ` as ${auth.username}:${auth.password}`;
    this.calls.push(`pullImage ${image?.image}${as}`);
    if (this.pullFailure !== '') throw new GrpcError('PullImage', 'UNKNOWN', this.pullFailure);
    const needed = this.logins.get(image?.image ?? '');
    if (needed !== undefined && needed !== auth?.username) throw notFound(image?.image ?? '');
    const name = image?.image ?? '';
    if (!this.images.has(name) && !this.registry.has(name)) throw notFound(name);
    this.images.add(name);
    return `sha256:${name}`;
  }

  async listImages(): Promise<readonly Received<'Image'>[]> {
    return [...this.images].map((name) => imageOf(name, this.imageSizeBytes));
  }

  async imageStatus(name: string): Promise<Received<'Image'> | undefined> {
    return this.images.has(name) ? imageOf(name, this.imageSizeBytes) : undefined;
  }

  async removeImage(name: string): Promise<void> {
    this.images.delete(name);
  }

  /** Where images are, if not on the disk of the pods. */
  imagesPath: string | undefined;

  async imageFsInfo(): Promise<Received<'ImageFsInfoResponse'>> {
    const mountpoint = this.imagesPath;
    if (mountpoint === undefined) return { imageFilesystems: [], containerFilesystems: [] };
    const at = { fsId: { mountpoint }, timestamp: 0, usedBytes: undefined, inodesUsed: undefined };
    return { imageFilesystems: [at], containerFilesystems: [] };
  }

  async *events({ signal }: { readonly signal: AbortSignal }): AsyncIterable<RuntimeEvent> {
    const queue: RuntimeEvent[] = [];
    let wake: (() => void) | undefined;
    const listener = (event: RuntimeEvent): void => {
      queue.push(event);
      wake?.();
    };
    const onAbort = (): void => wake?.();
    this.#listeners.add(listener);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (!signal.aborted) {
        const event = queue.shift();
        if (event !== undefined) yield event;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
      throw signal.reason;
    } finally {
      this.#listeners.delete(listener);
    }
  }

  [Symbol.dispose](): void {}
}

function notFound(id: string): GrpcError {
  return new GrpcError('/fake', 'NOT_FOUND', `"${id}": not found`);
}

function matches(
  labels: Readonly<Record<string, string>>,
  selector: Readonly<Record<string, string>> | undefined,
): boolean {
  return Object.entries(selector ?? {}).every(([key, value]) => labels[key] === value);
}

function imageSpec(image: string): Received<'ImageSpec'> {
  return { image, annotations: {}, userSpecifiedImage: '', runtimeHandler: '', imageRef: '' };
}

function imageOf(name: string, size: number): Received<'Image'> {
  const repoDigests = [`${name}@sha256:0`];
  return { id: name, repoTags: [name], repoDigests, size, username: '', pinned: false };
}
