/**
 * The kubelet: makes the pods that the API gives to this node run, and says how they are.
 *
 * `runKubelet` registers the Node, watches the pods of this node and keeps one worker per pod
 * (`pods/pod-worker.ts`: look, plan, act, tell). Next in the flow: `pods/plan.ts` (pure), `act.ts`,
 * then `status.ts`. Beside the workers run the heartbeat (`node/node-registration.ts`), news from
 * the runtime (`runtime-news.ts`), clean-up (`leftovers.ts`) and the server (`server/server.ts`).
 *
 * A kubelet that starts finds its containers by their labels and adopts them. Files keep only what
 * no runtime tells: devices and processors that were given, resizes, whom images were pulled for.
 */
import { mkdirSync } from 'node:fs';
import type { Client, Informer, Informers } from '#client';
import type { Runtime } from '#cri';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import { Slots } from '#kit/slots.ts';
import { hostLinkName } from '#network';
import { nodes, pods, services } from '#resources/kinds.ts';
import type { Node, Pod, Service, Taint } from '#resources/types/core-v1.ts';
import { assemble, maxPodsDefault } from './assemble.ts';
import { type NodeDevices, noDevices } from './devices/devices.ts';
import type { Evictor } from './eviction/eviction.ts';
import { openEvictor } from './eviction/open-evictor.ts';
import { removeDead, spawnHousekeeping } from './housekeeping.ts';
import type { RegistryOptions } from './images/open-images.ts';
import { removeOrphans } from './leftovers.ts';
import { type Admission, planAdmission } from './node/admission.ts';
import { NodeCgroups } from './node/enforce-allocatable.ts';
import { type Machine, openMachine } from './node/machine.ts';
import { openMemoryFolder } from './node/memory-folder.ts';
import { NodeRegistration, runNodeLease } from './node/node-registration.ts';
import { followPodRange } from './node/pod-range.ts';
import type { KubeletParts } from './parts.ts';
import { openNodePlacement, plainPlacement } from './placement/choose-placement.ts';
import type { NodePlacement } from './placement/placement.ts';
import { hasBegun } from './pods/pod-facts.ts';
import { PodWorker } from './pods/pod-worker.ts';
import { withoutNulls } from './pods/without-nulls.ts';
import { followRuntime } from './runtime-news.ts';
import { type KubeletServer, type ServerOptions, serveKubelet } from './server/server.ts';
import type { KubeletSettings } from './settings.ts';
import { openShutdown } from './shutdown/open-shutdown.ts';
import type { GracefulShutdown, ShutdownSource } from './shutdown/shutdown.ts';
import type { ManifestSources } from './static-pods/manifests.ts';
import { annotations, isMirror, isStatic } from './static-pods/static-pod.ts';
import { StaticPods } from './static-pods/static-pods.ts';

export interface KubeletDeps {
  readonly client: Client;
  readonly informers: Informers;
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Who shuts the machine down; default: systemd's logind. Asked only if settings say so. */
  readonly shutdowns?: ShutdownSource | undefined;
  /** What is done to the machine; default: the real one. */
  readonly machine?: Machine | undefined;
}

export interface KubeletOptions {
  readonly nodeName: string;
  readonly nodeIP: string;
  /** Of IPv6, in a cluster of both families. */
  readonly secondNodeIP?: string | undefined;
  readonly dataDir: string;
  /** Part of the names of cgroups. */
  readonly clusterId: string;
  /** Addresses of the cluster's DNS. */
  readonly clusterDNS: string | readonly string[];
  readonly clusterDomain: string;
  /** Of the node's server (logs, exec, port-forward). */
  readonly port: number;
  /** On which it listens; default: all. */
  readonly address?: string | undefined;
  /** PEM; without it there is no server. */
  readonly serving?:
    | (Pick<ServerOptions, 'cert' | 'key' | 'clientCA' | 'serves'> & {
        /** Called when it listens: its certificate can be exchanged from then on. */
        readonly onServe?: ((server: Pick<KubeletServer, 'useCertificate'>) => void) | undefined;
      })
    | undefined;
  /** Where volumes and the like of pods are; default: below the data dir. */
  readonly rootDir?: string | undefined;
  readonly podLogsDir?: string | undefined;
  readonly maxPods?: number | undefined;
  readonly podPidsMax?: number | undefined;
  readonly cgroupRoot?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly podCIDR?: string | undefined;
  /** Of the Node when it is made. */
  readonly taints?: readonly Taint[] | undefined;
  readonly providerID?: string | undefined;
  /** Whether the Node is made; else somebody else has made it. Default: yes. */
  readonly registers?: boolean | undefined;
  /** Where manifests of static pods are; default: nowhere. */
  readonly staticPods?: ManifestSources | undefined;
  readonly settings?: KubeletSettings | undefined;
  /** What the node knows of registries; default: nothing. */
  readonly registries?: RegistryOptions | undefined;
  /** Until it is over, images that are not there are waited for. Default: none is coming. */
  readonly imagesLoaded?: Promise<unknown> | undefined;
  /** Below it plugins and the kubelet meet; default: nowhere, and there are no plugins. */
  readonly pluginsRoot?: string | undefined;
  /** Called once, when pods can be started. */
  readonly onReady?: (() => void) | undefined;
  readonly signal: AbortSignal;
}

export { parseCredentialPlugins } from './images/credential-plugin-config.ts';
export type { RegistryOptions } from './images/open-images.ts';
export { imagePatternProblem } from './images/pull-records.ts';
export type { CgroupLimits } from './node/cgroups.ts';
export { sysctlNamespace } from './node/sysctls.ts';
export { parseNumbers } from './placement/number-set.ts';
export type { Serving } from './server/serving.ts';
export { defaultSettings, type KubeletSettings, verificationPolicies } from './settings.ts';
export type { ShutdownSource } from './shutdown/shutdown.ts';

export const limits = {
  servicesWaitMs: 3000,
  servicesLookMs: 10,
  /** To the API server, of whoever opens them for the kubelet. */
  connectionsMax: 12,
} as const;

/** Runs until the signal aborts; containers go on running. */
export async function runKubelet(deps: KubeletDeps, options: KubeletOptions): Promise<void> {
  await using scope = new Scope(options.signal);
  const machine = deps.machine ?? (await openMachine(deps, options));
  const kubelet = new Kubelet({ ...deps, machine }, options, scope);
  await kubelet.prepare(scope.signal);
  scope.spawn((signal) => kubelet.run(signal));
  await scope.join();
}

type ReadyDeps = KubeletDeps & Pick<KubeletParts, 'machine'>;

class Kubelet {
  readonly #deps: KubeletDeps;
  readonly #options: KubeletOptions;
  readonly #scope: Scope;
  readonly #parts: KubeletParts;
  /** By pod uid. */
  readonly #workers = new Map<string, PodWorker>();
  #hasSynced = false;
  #statics: StaticPods | undefined;
  #node: Informer<Node> | undefined;
  #evictor: Evictor | undefined;
  #pods: Informer<Pod> | undefined;
  #staticPods: readonly Pod[] = [];
  #devices: NodeDevices = noDevices;
  #placement: NodePlacement;
  readonly #cgroups: NodeCgroups;
  readonly #turn = new Slots(1);
  #registration: NodeRegistration | undefined;
  #shutdown: GracefulShutdown | undefined;

  constructor(deps: ReadyDeps, options: KubeletOptions, scope: Scope) {
    this.#deps = deps;
    this.#options = options;
    this.#scope = scope;
    this.#parts = assemble(deps, options, scope, {
      onChange: (owners) => {
        for (const uid of owners) this.#workers.get(uid)?.refreshVolumes();
      },
      devices: () => this.#devices,
      placement: () => this.#placement,
      workers: () => this.#all,
    });
    const { node } = this.#parts;
    this.#cgroups = new NodeCgroups({ ...this.#parts, node: node.object }, node);
    this.#placement = plainPlacement({
      ...{ clock: deps.clock, devices: this.#devices.provider, turn: this.#turn },
    });
  }

  async prepare(signal: AbortSignal): Promise<void> {
    const { paths, node, settings } = this.#parts;
    await this.#cgroups.enforceReserved(node.capacity, settings);
    this.#scope.spawn((ending) => this.#cgroups.enforcePods(node.capacity, settings, ending));
    for (const folder of [paths.pods, paths.podLogs, paths.logLinks]) {
      mkdirSync(folder, { recursive: true });
    }
    await openMemoryFolder(this.#parts, signal);
    if (this.#options.pluginsRoot !== undefined) await this.#openDevices(this.#options.pluginsRoot);
    await this.#openPlacement();
  }

  get #all(): readonly PodWorker[] {
    return [...this.#workers.values()];
  }

  /** Pods whose end has not come. */
  get #active(): readonly Pod[] {
    return this.#all.filter(({ isActive }) => isActive).map(({ pod }) => pod);
  }

  async #openPlacement(): Promise<void> {
    this.#placement = await openNodePlacement({
      ...this.#parts,
      rootDir: this.#rootDir,
      capacity: this.#parts.node.capacity,
      devices: this.#devices.provider,
      turn: this.#turn,
      activePods: () => (this.#hasSynced ? this.#active : undefined),
      spawn: (task) => this.#scope.spawn(task),
    });
  }

  async #openDevices(root: string): Promise<void> {
    const { openDevices } = await import('./devices/open-devices.ts');
    const { nodeName } = this.#options;
    this.#devices = await openDevices(
      {
        ...this.#parts,
        spawn: (task) => this.#scope.spawn(task),
        activePods: () => (this.#hasSynced ? this.#active : undefined),
        turn: this.#turn,
        placement: () => this.#placement,
        findPod: (namespace, name) => this.#find(namespace, name)?.pod,
        onAmounts: () => this.#registration?.lookNow(),
        onHealth: (uids) => {
          for (const uid of uids) this.#workers.get(uid)?.wake();
        },
      },
      { root, nodeName, hasSELinux: this.#parts.node.hasSELinux, signal: this.#scope.signal },
    );
  }

  async run(signal: AbortSignal): Promise<void> {
    const { informers, log } = this.#deps;
    const { nodeName, serving, port, clusterId } = this.#options;
    const scope = this.#scope;
    const podInformer = informers.of(pods, { fieldSelector: `spec.nodeName=${nodeName}` });
    this.#pods = podInformer;
    const serviceInformer = informers.of(services);
    const evictor = await openEvictor(this.#parts, {
      workers: () => this.#all,
      cgroups: this.#cgroups,
      removeDead: (ending) =>
        removeDead(this.#parts, this.#workers, { isDiskShort: true, signal: ending }),
      spawn: (task) => scope.spawn(task),
      signal,
    });
    this.#evictor = evictor;
    const registration = this.#register(evictor);
    this.#registration = registration;
    scope.spawn((ending) => registration.run(ending));
    scope.spawn((ending) => runNodeLease(this.#parts, { nodeName, signal: ending }));
    if (serving !== undefined) {
      const linkOf = (containerId: string): string => hostLinkName({ clusterId, containerId });
      const server = await serveKubelet(
        { ...this.#parts, linkOf, more: () => this.#shutdown?.metrics() ?? [] },
        {
          ...serving,
          nodeName,
          port,
          host: this.#options.address ?? '0.0.0.0',
          findPod: (namespace, name) => this.#find(namespace, name),
          pods: () => this.#all.map(({ pod }) => pod),
        },
      );
      serving.onServe?.(server);
      scope.spawn((ending) => server.run(ending));
    }
    const statics = this.#openStaticPods(podInformer);
    // Without the API they run all the same.
    await statics.read(signal);
    scope.spawn((ending) => statics.run(ending));
    scope.spawn((ending) => this.#followRuntime(ending));
    // Variables of Services go into containers when they start, so Services must be known first.
    await podInformer.synced({ signal });
    await this.#node?.synced({ signal });
    await this.#waitFor(serviceInformer, signal);
    const take = (sent: Pod, use: (pod: Pod) => void): void => {
      const pod = withoutNulls(sent);
      if (isMirror(pod)) this.#mirrored(pod);
      else use(pod);
    };
    podInformer.addHandler({
      onAdd: (sent) => take(sent, (pod) => this.#add(pod)),
      onUpdate: (sent) => take(sent, (pod) => this.#update(pod)),
      onDelete: (pod) => {
        if (isMirror(pod)) this.#mirrored(pod, { isGone: true });
        else this.#workers.get(pod.metadata.uid ?? '')?.gone();
      },
    });
    this.#hasSynced = true;
    await this.#followShutdowns();
    log.info('kubelet ready', { node: nodeName, pods: this.#workers.size });
    this.#options.onReady?.();
    spawnHousekeeping(this.#parts, scope, { workers: this.#workers, cgroups: this.#cgroups });
    scope.spawn((ending) => evictor.run(ending));
  }

  #openStaticPods(informer: Informer<Pod>): StaticPods {
    const { nodeName, staticPods = {} } = this.#options;
    const { client, clock, log, informers } = this.#deps;
    const { settings } = this.#parts;
    const ownNode = informers.of(nodes, { fieldSelector: `metadata.name=${nodeName}` });
    this.#node = ownNode;
    followPodRange(this.#parts, ownNode, this.#options, (task) => this.#scope.spawn(task));
    this.#statics = new StaticPods(
      { client, clock, log, informer },
      {
        nodeName,
        sources: staticPods,
        fileCheckMs: settings.fileCheckFrequencyMs,
        httpCheckMs: settings.httpCheckFrequencyMs,
        node: () => ownNode.get(nodeName),
        onPods: (wanted) => this.#setStaticPods(wanted),
        isEnding: (uid) => this.#workers.has(uid),
      },
    );
    return this.#statics;
  }

  #setStaticPods(wanted: readonly Pod[]): void {
    this.#staticPods = wanted;
    const uids = new Set(wanted.map(({ metadata }) => metadata.uid));
    for (const worker of this.#workers.values()) {
      if (isStatic(worker.pod) && !uids.has(worker.pod.metadata.uid)) worker.retire();
    }
    this.#startStaticPods();
  }

  /** One whose manifest was changed begins when the one before it has ended. */
  #startStaticPods(): void {
    for (const pod of this.#staticPods) {
      const { namespace = '', name = '' } = pod.metadata;
      if (this.#find(namespace, name) === undefined) this.#add(pod);
    }
  }

  #mirrored(mirror: Pod, { isGone = false }: { readonly isGone?: boolean } = {}): void {
    const uid = mirror.metadata.annotations?.[annotations.mirror] ?? '';
    const isLeaving = isGone || mirror.metadata.deletionTimestamp !== undefined;
    this.#parts.statuses.mirrored(uid, isLeaving ? undefined : mirror);
    this.#statics?.changed();
  }

  #register(evictor: Evictor): NodeRegistration {
    const { nodeName, port, dataDir, labels, podCIDR } = this.#options;
    return new NodeRegistration(
      {
        ...this.#parts,
        pressures: () => evictor.pressures,
        isShuttingDown: () => this.#shutdown?.isNow === true,
      },
      {
        nodeName,
        nodeIPs: this.#parts.node.hostIPs,
        port,
        dataDir,
        maxPods: this.#options.maxPods ?? maxPodsDefault,
        labels: labels ?? {},
        podCIDR,
        taints: this.#options.taints,
        providerID: this.#options.providerID,
        registers: this.#options.registers,
        settings: this.#parts.settings,
      },
    );
  }

  async #followShutdowns(): Promise<void> {
    const { settings, recorder, node } = this.#parts;
    const onChange = (): void => this.#registration?.lookNow();
    const shutdown = await openShutdown(
      { ...this.#deps, recorder, node: node.object, workers: () => this.#all, onChange },
      { settings, source: this.#deps.shutdowns, rootDir: this.#rootDir },
    );
    this.#shutdown = shutdown;
    if (shutdown !== undefined) this.#scope.spawn((ending) => shutdown.run(ending));
  }

  async #waitFor(informer: Informer<Service>, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    const untilMs = clock.monotonic() + limits.servicesWaitMs;
    while (!informer.hasSynced && clock.monotonic() < untilMs) {
      await clock.sleep(limits.servicesLookMs, { signal });
    }
    if (!informer.hasSynced) log.warn('services are not known, pods start without their variables');
  }

  /** Where plugins and state files are. */
  get #rootDir(): string {
    return this.#options.pluginsRoot ?? this.#options.dataDir;
  }

  #find(namespace: string, name: string): PodWorker | undefined {
    for (const worker of this.#workers.values()) {
      const { metadata } = worker.pod;
      if (metadata.namespace === namespace && metadata.name === name) return worker;
    }
    return undefined;
  }

  #add(pod: Pod): void {
    const { uid = '' } = pod.metadata;
    if (this.#workers.has(uid)) {
      this.#update(pod);
      return;
    }
    const admission = this.#admit(pod, this.#parts.node.object());
    const isDoubtful = admission.do === 'reject' && admission.refusal.reason === 'NodeAffinity';
    if (isDoubtful && !isStatic(pod)) this.#askAgain(pod);
    else this.#start(pod, admission, { isNew: this.#isNew(pod) });
  }

  /** It came while we run: before, nothing can have been made of it. */
  #isNew(pod: Pod): boolean {
    return this.#hasSynced && !isStatic(pod) && !hasBegun(pod);
  }

  #start(pod: Pod, admission: Admission, { isNew }: { readonly isNew: boolean }): void {
    const { uid = '' } = pod.metadata;
    const preempt = admission.do === 'admit' ? admission.preempt : [];
    const victims = this.#all.filter((worker) => preempt.includes(worker.pod));
    const refusal = admission.do === 'reject' ? admission.refusal : undefined;
    const worker = new PodWorker(this.#parts, pod, this.#scope, { refusal, isNew });
    this.#workers.set(uid, worker);
    this.#scope.spawn(() => this.#cgroups.share(this.#active));
    this.#scope.spawn(async (signal) => {
      await Promise.all(victims.map((victim) => this.#preempt(victim)));
      if (refusal === undefined && !hasBegun(pod)) await this.#allocate(worker, signal);
      await worker.run(signal);
      this.#workers.delete(uid);
      this.#placement.ended();
      this.#startStaticPods();
      this.#statics?.changed();
    });
  }

  /** Asked once: what has begun, or has ended, was taken before. */
  #admit(pod: Pod, node: Node): Admission {
    if (hasBegun(pod)) return { do: 'admit', preempt: [] };
    return planAdmission(pod, {
      node,
      others: this.#all.filter(({ isActive, isGone }) => isActive && !isGone).map(({ pod }) => pod),
      pressures: this.#evictor?.pressures,
      isShuttingDown: this.#shutdown?.isNow,
      isManaged: (resource) => this.#devices.manages(resource),
      allowedUnsafeSysctls: this.#parts.settings.allowedUnsafeSysctls,
      appArmor: this.#parts.settings.appArmor,
    });
  }

  /** Devices, processors and memory are given once, before anything of the pod is made. */
  async #allocate(worker: PodWorker, signal: AbortSignal): Promise<void> {
    const refusal = await this.#placement.admit(worker.pod, { signal });
    if (refusal !== undefined) worker.refuse(refusal);
  }

  /** A label that the scheduler saw may not have come here yet. */
  #askAgain(pod: Pod): void {
    const { client, log } = this.#deps;
    const { namespace, name, uid = '' } = pod.metadata;
    this.#scope.spawn(async (signal) => {
      const fresh = await client
        .get(nodes, { name: this.#options.nodeName }, { signal })
        .catch((error: unknown) => log.warn('cannot read the own node', { error }));
      const latest = withoutNulls(this.#pods?.get(`${namespace}/${name}`));
      if (latest?.metadata.uid !== uid || this.#workers.has(uid)) return;
      const admission = this.#admit(latest, fresh ?? this.#parts.node.object());
      this.#start(latest, admission, { isNew: false });
    });
  }

  #preempt(worker: PodWorker): Promise<void> {
    const failure = { reason: 'Preempting', message: 'Preempted in order to admit critical pod' };
    this.#parts.recorder.record(worker.pod, { type: 'Warning', ...failure });
    const disruption = 'Pod was preempted by Kubelet to accommodate a critical pod.';
    return worker.evict(failure, { disruption });
  }

  #update(pod: Pod): void {
    const worker = this.#workers.get(pod.metadata.uid ?? '');
    // The last news of a pod whose worker has finished comes after the worker has gone.
    if (worker !== undefined) worker.update(pod);
    else if (pod.metadata.deletionTimestamp === undefined) this.#add(pod);
  }

  #followRuntime(signal: AbortSignal): Promise<void> {
    return followRuntime(this.#parts, {
      onPod: (uid) => this.#workers.get(uid)?.wake(),
      isKnown: (uid) => !this.#hasSynced || this.#workers.has(uid),
      hasSeen: (uid, id, state) => this.#workers.get(uid)?.hasSeen(id, state) === true,
      isMaking: (uid) => this.#workers.get(uid)?.isMaking === true,
      ownerOf: (id) => this.#all.find((worker) => worker.owns(id))?.pod.metadata.uid,
      onOrphans: (ids, ending) =>
        removeOrphans(this.#parts, ids, { known: this.#workers, signal: ending }),
      signal,
    });
  }
}
