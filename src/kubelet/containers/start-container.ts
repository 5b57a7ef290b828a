/**
 * Starts one container: image, environment, mounts, create, start, post-start hook.
 *
 * Each step that can fail by what the user wrote leaves a note with upstream's reason
 * (ErrImagePull, CreateContainerConfigError, CreateContainerError, RunContainerError,
 * PostStartHookError) and the time of the next try; the pod's other containers go on.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { objectKey } from '#api/object.ts';
import { GrpcError, type Sent } from '#cri';
import { assert } from '#kit/assert.ts';
import { configMaps, secrets } from '#resources/kinds.ts';
import type { Container, ContainerStateWaiting, Pod, Secret } from '#resources/types/core-v1.ts';
import type { Image, PullTimes } from '../images/images.ts';
import type { TrackedLogin } from '../images/registry-logins.ts';
import { linkLog } from '../logs/log-files.ts';
import { readMemory } from '../node/node-figures.ts';
import type { ActOptions, KubeletParts, PodState } from '../parts.ts';
import { nextBackoff } from '../pods/backoff.ts';
import { type Action, containerHash, restartKey } from '../pods/plan.ts';
import {
  graceSecondsOf,
  latestOf,
  type PodFacts,
  type RuntimeFacts,
  type SandboxFact,
} from '../pods/pod-facts.ts';
import { podPaths, terminationFile } from '../pods/pod-paths.ts';
import { hugepagesIn, podCgroupPath } from '../pods/qos.ts';
import { fitPodCgroup } from '../pods/resize.ts';
import { tryHandler } from '../probes/try.ts';
import { imageVolumeProblem, imageVolumesOf } from '../volumes/image-volumes.ts';
import { blockDevicesOf, mountsOf } from '../volumes/mounts.ts';
import { asksRecursiveReadOnly } from '../volumes/recursive-read-only.ts';
import { containerConfig, rootProblem } from './container-config.ts';
import { formatHostNetworkHostsFile, formatHostsFile } from './dns-config.ts';
import { ConfigError, makeEnvironment } from './env.ts';
import { readFileKey } from './env-file.ts';
import { type MemoryGroupFacts, memoryGroup } from './memory-group.ts';
import { handlerOf, sandboxConfigOf } from './sandbox.ts';
import { userNamespaceOf } from './user-namespace.ts';

type Start = Extract<Action, { do: 'startContainer' }>;

/** Pause before a start that failed by its configuration is tried again. */
const configRetryMs = 5000;
/** A post-start hook has no limit of its own; a hook that hangs must not hang the pod for ever. */
const hookSecondsMax = 600;

export async function startContainer(
  parts: KubeletParts,
  state: PodState,
  facts: PodFacts,
  action: Start,
  options: ActOptions,
): Promise<void> {
  const sandbox = facts.runtime.sandboxes[0];
  assert(sandbox !== undefined, 'a container is started in a sandbox');
  const { pod } = facts;
  const { container } = action;
  const starter = new Starter(parts, state, facts, container, options);
  parts.counts.containerStarts(pod, container.name);
  const image = await starter.image();
  if (image === undefined) return;
  const volumeImages = await starter.volumeImages();
  if (volumeImages === undefined) return;
  if (action.restart) {
    const key = restartKey(container);
    const longest = { maxMs: parts.settings.crashLoopMaxMs };
    state.backoffs.set(key, nextBackoff(state.backoffs.get(key), parts.clock.now(), longest));
  }
  await fitPodCgroup(parts, state, facts);
  try {
    const id = await starter.create(action, sandbox, { image, volumeImages });
    if (id === undefined) return;
    state.made.containers.push(id);
    starter.say('Normal', 'Created', 'Container created');
    await starter.start(id, sandbox, action.attempt);
  } catch (error) {
    if (options.signal.aborted || options.interrupt.aborted) throw error;
    if (!(error instanceof GrpcError)) throw error;
    starter.failed('CreateContainerError', error.message, configRetryMs);
  }
}

class Starter {
  readonly #parts: KubeletParts;
  readonly #state: PodState;
  readonly #pod: Pod;
  readonly #runtime: RuntimeFacts;
  readonly #container: Container;
  readonly #options: ActOptions;

  constructor(
    parts: KubeletParts,
    state: PodState,
    { pod, runtime }: PodFacts,
    container: Container,
    options: ActOptions,
  ) {
    this.#parts = parts;
    this.#state = state;
    this.#pod = pod;
    this.#runtime = runtime;
    this.#container = container;
    this.#options = options;
  }

  say(type: 'Normal' | 'Warning', reason: string, message: string): void {
    const fieldPath = `spec.containers{${this.#container.name}}`;
    this.#parts.recorder.record(this.#pod, { type, reason, message, fieldPath });
  }

  failed(reason: string, message: string, delayMs: number): void {
    this.#note({ reason, message }, this.#parts.clock.now() + delayMs);
    this.say('Warning', 'Failed', `Error: ${message}`);
  }

  #warn(text: string, error: Error): void {
    const container = this.#container.name;
    this.#parts.log.warn(text, { pod: objectKey(this.#pod), container, error });
  }

  #note(waiting: ContainerStateWaiting, untilMs: number): void {
    const hash = containerHash(this.#container);
    this.#state.failures.set(this.#container.name, { hash, waiting, untilMs });
    this.#parts.counts.containerFailed(this.#pod, this.#container.name, waiting.reason ?? '');
  }

  /** Undefined when it cannot be had now; the note says why. */
  image(): Promise<Image | undefined> {
    const { image = '', imagePullPolicy } = this.#container;
    return this.#pull(image, imagePullPolicy ?? 'IfNotPresent');
  }

  /** Of volumes that are images, by volume; undefined when one cannot be had now. */
  async volumeImages(): Promise<ReadonlyMap<string, string> | undefined> {
    const images = new Map<string, string>();
    for (const { name, image, policy } of imageVolumesOf(this.#pod, this.#container)) {
      const runtime = await this.#parts.runtime.version({ signal: this.#options.interrupt });
      const problem = imageVolumeProblem(runtime);
      if (problem !== undefined) {
        this.failed('CreateContainerError', problem, configRetryMs);
        return undefined;
      }
      const pulled = await this.#pull(image, policy);
      if (pulled === undefined) return undefined;
      images.set(name, pulled.id);
    }
    return images;
  }

  async #pull(image: string, policy: string): Promise<Image | undefined> {
    const owner = this.#pod.metadata.uid ?? '';
    const result = await this.#parts.images.ensure(
      { image, policy, owner, logins: () => this.#logins(image) },
      {
        signal: this.#options.interrupt,
        onPull: () => this.say('Normal', 'Pulling', `Pulling image "${image}"`),
      },
    );
    if (!result.ok) {
      this.#note(result.waiting, result.untilMs);
      const { reason = '', message } = result.waiting;
      if (reason === 'InvalidImageName') {
        this.say('Warning', 'InspectFailed', message ?? '');
      } else if (reason === 'ErrImageNeverPull') {
        this.say('Warning', 'ErrImageNeverPull', message ?? '');
      } else this.say('Warning', 'Failed', `Failed to pull image "${image}": ${message}`);
      this.say('Warning', 'Failed', `Error: ${reason}`);
      return undefined;
    }
    this.#sayPulled(image, result.pulled, result.image.size);
    return result.image;
  }

  /** A Secret of `imagePullSecrets` that is missing is told, and the pull goes on. */
  async #logins(image: string): Promise<readonly TrackedLogin[]> {
    const { namespace = '', uid = '' } = this.#pod.metadata;
    const options = { signal: this.#options.interrupt };
    const found: Secret[] = [];
    for (const { name = '' } of this.#pod.spec?.imagePullSecrets ?? []) {
      const secret = await this.#parts.objects.get(secrets, { namespace, name }, uid, options);
      if (secret !== undefined) found.push(secret);
      else {
        const message =
          `Unable to retrieve some image pull secrets (${name}); ` +
          'attempting to pull the image may not succeed.';
        this.say('Warning', 'FailedToRetrieveImagePullSecret', message);
      }
    }
    return this.#parts.logins.of(image, this.#pod, found, options);
  }

  #sayPulled(image: string, pulled: PullTimes | undefined, size: number): void {
    if (pulled === undefined) {
      const message = `Container image "${image}" already present on machine`;
      this.say('Normal', 'Pulled', `${message} and can be accessed by the pod`);
      return;
    }
    const [own, all] = [formatMs(pulled.pullMs), formatMs(pulled.totalMs)];
    const message = `Successfully pulled image "${image}" in ${own} (${all} including waiting).`;
    this.say('Normal', 'Pulled', `${message} Image size: ${size} bytes.`);
  }

  /** Undefined when the configuration does not hold; the note says why. */
  async create(
    action: Start,
    sandbox: SandboxFact,
    {
      image,
      volumeImages,
    }: { readonly image: Image; readonly volumeImages: ReadonlyMap<string, string> },
  ): Promise<string | undefined> {
    const { node, paths, runtime, slots } = this.#parts;
    try {
      const problem = rootProblem(this.#pod, this.#container, image);
      if (problem !== undefined) throw new ConfigError(problem);
      const devices = await this.#parts
        .devices()
        .settingsOf(this.#pod, this.#container, { signal: this.#options.interrupt });
      if (typeof devices === 'string') throw new ConfigError(devices);
      const blocks = blockDevicesOf(this.#pod, this.#container, this.#state.volumes);
      const environment = await this.#environment(sandbox);
      const message = terminationFile(
        podPaths(paths, this.#pod),
        this.#container.name,
        action.attempt,
      );
      const mounts = await this.#mounts(sandbox, { environment, volumeImages, message });
      const placement = this.#parts.placement();
      const cpusAndNodes = placement.placeOf(this.#pod, this.#container);
      const config = containerConfig(this.#pod, this.#container, {
        attempt: action.attempt,
        imageRef: image.id,
        environment,
        mounts,
        terminationFile: message,
        nodeMemoryBytes: node.memoryBytes,
        seccompDir: `${paths.root}/seccomp`,
        volumeGroups: this.#parts.volumes.groupsOf(this.#pod.metadata.uid ?? ''),
        seccompDefault: this.#parts.settings.seccompDefault,
        quota: this.#parts.settings,
        memoryGroup: memoryGroup(this.#pod, this.#container, {
          facts: await this.#memoryFacts(),
          settings: this.#parts.settings,
        }),
        devices: { ...devices, devices: [...devices.devices, ...blocks] },
        place: cpusAndNodes,
        users: userNamespaceOf(paths, this.#pod),
        hugepages: hugepagesIn(node.capacity),
        targetId: this.#targetId(),
      });
      const request = {
        podSandboxId: sandbox.id,
        config,
        sandboxConfig: sandboxConfigOf(this.#parts, this.#pod, sandbox.attempt),
      };
      // What others take their time to answer, as the API, was asked before: it holds up nobody.
      const create = () => runtime.createContainer(request, this.#options);
      const id = await slots.use(create, this.#options);
      this.#state.applied.set(id, this.#container.resources ?? {});
      placement.made(this.#pod, this.#container, id, cpusAndNodes);
      return id;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      // What is not for everybody to read.
      if (error.cause !== undefined) this.#warn('a container cannot be made', error);
      this.failed('CreateContainerConfigError', error.message, configRetryMs);
      return undefined;
    }
  }

  async #mounts(
    sandbox: SandboxFact,
    {
      environment,
      volumeImages,
      message,
    }: {
      readonly environment: ReadonlyMap<string, string>;
      readonly volumeImages: ReadonlyMap<string, string>;
      readonly message: string;
    },
  ): Promise<readonly Sent<'Mount'>[]> {
    const { machine, node, paths, volumes } = this.#parts;
    const { hostsFile, subPaths } = podPaths(paths, this.#pod);
    writeHostsFile(hostsFile, this.#hostsText(sandbox));
    const mounts = await mountsOf(this.#container, {
      volumes: this.#state.volumes,
      images: volumeImages,
      canRecursiveReadOnly: await this.#canRecursiveReadOnly(),
      environment,
      hostsFile,
      terminationFile: message,
      readOnlyVolumes: readOnlyVolumes(this.#pod),
      labelled: node.hasSELinux ? volumes.labelledOf(this.#pod) : undefined,
      binder: machine,
      subPaths,
      signal: this.#options.signal,
    });
    if (mounts.some(({ hostPath }) => hostPath === message)) chmodSync(message, 0o666);
    return mounts;
  }

  async #memoryFacts(): Promise<MemoryGroupFacts> {
    const { machine, node, settings } = this.#parts;
    const { cgroups } = machine;
    const { memoryBytes } = node;
    if (cgroups.version === 1) return { version: 1, countsSwap: false, memoryBytes, swapBytes: 0 };
    const path = podCgroupPath(node.cgroupRoot, this.#pod);
    const most = await cgroups.read(cgroups.pathOf(path), 'memory', 'memory.swap.max');
    const isUsed = settings.swapBehavior !== 'NoSwap';
    const swapBytes = isUsed ? readMemory(machine).swapTotalBytes : 0;
    return { version: 2, countsSwap: most !== '', memoryBytes, swapBytes };
  }

  /** Asked only where it matters. */
  async #canRecursiveReadOnly(): Promise<boolean> {
    if (!asksRecursiveReadOnly(this.#container)) return false;
    const signal = this.#options.interrupt;
    const wanted = await handlerOf(this.#parts, this.#pod, signal);
    const { runtimeHandlers } = await this.#parts.runtime.status({ signal });
    const handler = runtimeHandlers.find(({ name }) => name === wanted);
    return handler?.features?.recursiveReadOnlyMounts === true;
  }

  /** The container whose processes an ephemeral container is to see. */
  #targetId(): string | undefined {
    const own = this.#pod.spec?.ephemeralContainers?.find(
      ({ name }) => name === this.#container.name,
    );
    const target = own?.targetContainerName ?? '';
    if (target === '') return undefined;
    const found = latestOf(this.#runtime, target);
    if (found?.state === 'running') return found.id;
    throw new ConfigError(`unable to find target container ${target} running`);
  }

  #environment(sandbox: SandboxFact): Promise<ReadonlyMap<string, string>> {
    const { node, objects, services } = this.#parts;
    const { namespace = '', uid = '' } = this.#pod.metadata;
    const options = { signal: this.#options.interrupt };
    return makeEnvironment(this.#pod, this.#container, {
      configMap: (name) => objects.get(configMaps, { namespace, name }, uid, options),
      secret: (name) => objects.get(secrets, { namespace, name }, uid, options),
      services: services(namespace),
      podIPs: this.#podIPs(sandbox),
      hostIPs: node.hostIPs,
      allocatable: node.allocatable(),
      file: (reference) => readFileKey(this.#state.volumes, reference),
    });
  }

  #podIPs(sandbox: SandboxFact): readonly string[] {
    return this.#pod.spec?.hostNetwork === true ? this.#parts.node.hostIPs : sandbox.ips;
  }

  #hostsText(sandbox: SandboxFact): string {
    const { machine, node } = this.#parts;
    return this.#pod.spec?.hostNetwork === true
      ? formatHostNetworkHostsFile(this.#pod, machine.readFile('/etc/hosts'))
      : formatHostsFile(this.#pod, sandbox.ips, node.clusterDomain);
  }

  async start(id: string, sandbox: SandboxFact, attempt: number): Promise<void> {
    const { runtime } = this.#parts;
    const { name } = this.#container;
    try {
      await runtime.startContainer(id, { signal: this.#options.signal });
    } catch (error) {
      if (this.#options.signal.aborted || !(error instanceof GrpcError)) throw error;
      // The runtime keeps the container as ended: from here on it is a restart with its back-off.
      this.failed('RunContainerError', error.message, 0);
      return;
    }
    this.#state.failures.delete(name);
    this.say('Normal', 'Started', 'Container started');
    this.#linkLog(id, attempt);
    await this.#postStart(id, sandbox);
  }

  #linkLog(id: string, attempt: number): void {
    try {
      linkLog(this.#parts.paths, this.#pod, { name: this.#container.name, id, attempt });
    } catch (error) {
      this.#parts.log.warn('no link to a log', { container: id, error });
    }
  }

  async #postStart(id: string, sandbox: SandboxFact): Promise<void> {
    const postStart = this.#container.lifecycle?.postStart;
    if (postStart === undefined) return;
    const podIP = this.#podIPs(sandbox)[0] ?? '';
    const subject = { container: this.#container, containerId: id, podIP };
    const { result } = await tryHandler(this.#parts, postStart, subject, {
      signal: this.#options.interrupt,
      timeoutSeconds: hookSecondsMax,
    });
    if (result === 'success') return;
    // Not what it said: that may be secret.
    this.say('Warning', 'FailedPostStartHook', 'PostStartHook failed');
    this.say('Normal', 'Killing', 'FailedPostStartHook');
    await this.#parts.runtime.stopContainer(id, {
      graceSeconds: graceSecondsOf(this.#pod),
      signal: this.#options.interrupt,
    });
  }
}

/** As Go prints a duration in whole milliseconds: `0s`, `15ms`, `1.25s`, `1m2.5s`. */
function formatMs(time: number): string {
  const ms = Math.trunc(time);
  if (ms === 0) return '0s';
  if (ms < 1000) return `${ms}ms`;
  const minutes = Math.floor(ms / 60_000);
  return `${minutes === 0 ? '' : `${minutes}m`}${(ms % 60_000) / 1000}s`;
}

function writeHostsFile(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text, { mode: 0o644 });
}

/** Volumes that nobody writes to: what the API fills, and claims used for reading only. */
function readOnlyVolumes({ spec }: Pod): ReadonlySet<string> {
  const volumes = (spec?.volumes ?? []).filter(
    ({ secret, configMap, downwardAPI, projected, persistentVolumeClaim }) =>
      (secret ?? configMap ?? downwardAPI ?? projected) !== undefined ||
      persistentVolumeClaim?.readOnly === true,
  );
  return new Set(volumes.map(({ name }) => name));
}
