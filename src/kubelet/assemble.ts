/**
 * Puts the parts together that the pods of one kubelet share (`parts.ts`). Called once, by
 * `kubelet.ts`.
 */
import { mkdirSync } from 'node:fs';
import { type Informer, openRecorder } from '#client';
import type { Scope } from '#kit/scope.ts';
import { hasSELinux } from '#kit/selinux.ts';
import { Slots } from '#kit/slots.ts';
import { nodes, services } from '#resources/kinds.ts';
import type { Node, Service } from '#resources/types/core-v1.ts';
import type { NodeDevices } from './devices/devices.ts';
import { openImages } from './images/open-images.ts';
import type { KubeletDeps, KubeletOptions } from './kubelet.ts';
import { resizeShortage } from './node/admission.ts';
import type { Machine } from './node/machine.ts';
import { readMachineFacts } from './node/node-registration.ts';
import { nodeAllocatable, nodeCapacity } from './node/node-status.ts';
import type { KubeletParts, NodeFacts } from './parts.ts';
import type { NodePlacement } from './placement/placement.ts';
import { PodCounts } from './pods/pod-counts.ts';
import { kubeletPaths } from './pods/pod-paths.ts';
import type { PodWorker } from './pods/pod-worker.ts';
import { type Room, shortageInTurn } from './pods/resize-order.ts';
import { StatusWriter } from './pods/status-writer.ts';
import { withoutNulls } from './pods/without-nulls.ts';
import { defaultSettings, type KubeletSettings } from './settings.ts';
import { Volumes } from './volumes/volumes.ts';
import { WatchedObjects } from './watched-objects.ts';

export const maxPodsDefault = 110;
/** Sandboxes and containers made at the same time. */
const startsAtOnce = 8;
/** That a container runs is told before the event of its start is written. */
const eventsRestMs = 20;

export function assemble(
  deps: KubeletDeps & { readonly machine: Machine },
  options: KubeletOptions,
  scope: Scope,
  {
    onChange,
    devices,
    placement,
    workers,
  }: {
    readonly onChange: (owners: Iterable<string>) => void;
    readonly devices: () => NodeDevices;
    readonly placement: () => NodePlacement;
    readonly workers: () => readonly PodWorker[];
  },
): KubeletParts {
  const { client, clock, log, runtime, random, informers, machine } = deps;
  const { signal } = scope;
  const paths = kubeletPaths(options.dataDir, options);
  const speaker = { component: 'kubelet', host: options.nodeName, restMs: eventsRestMs };
  const recorder = openRecorder({ client, clock, random, log, ...speaker });
  scope.spawn((ending) => recorder.run(ending));
  const spawn = (task: () => Promise<void>): void => scope.spawn(task);
  const objects = new WatchedObjects(
    { client, clock, log },
    { spawn: (task) => scope.spawn(task), onChange },
  );
  mkdirSync(options.dataDir, { recursive: true });
  const settings = options.settings ?? defaultSettings;
  const node = nodeFacts({ machine, informers }, options, settings);
  const images = openImages(
    {
      ...{ client, runtime, clock, log, loaded: options.imagesLoaded },
      readFile: (path) => machine.readFile(path),
    },
    { root: paths.root, settings, registries: options.registries, signal },
  );
  const counts = new PodCounts();
  const isManaged = (resource: string): boolean => devices().manages(resource);
  return {
    client,
    runtime,
    clock,
    log,
    recorder,
    machine,
    paths,
    node,
    ...images,
    volumes: new Volumes({
      ...{ client, clock, machine, recorder, objects, paths },
      ...{ hostIPs: node.hostIPs, allocatable: node.allocatable, node: node.object },
    }),
    devices,
    placement,
    objects,
    counts,
    statuses: new StatusWriter({ client, clock, log, counts }, { signal, spawn }),
    services: servicesOf(informers.of(services)),
    shortage: (pod) =>
      shortageInTurn(
        pod,
        () => roomsOf(workers()),
        (of, others) => resizeShortage(of, { node: node.object(), others, isManaged }),
      ),
    slots: new Slots(startsAtOnce),
    settings,
  };
}

/** Of the pods that take room on the node. */
function roomsOf(workers: readonly PodWorker[]): readonly Room[] {
  return workers.filter(({ isActive, isGone }) => isActive && !isGone).map(({ room }) => room);
}

/** What pods may know of their node. */
function nodeFacts(
  { machine, informers }: Pick<KubeletDeps, 'informers'> & { readonly machine: Machine },
  options: KubeletOptions,
  settings: KubeletSettings,
): NodeFacts {
  const { nodeName, nodeIP, secondNodeIP, labels = {} } = options;
  const facts = readMachineFacts(machine, options.dataDir);
  const capacity = nodeCapacity(facts, options.maxPods ?? maxPodsDefault, settings);
  const allocatable = nodeAllocatable(capacity, settings);
  const ownNode = informers.of(nodes, { fieldSelector: `metadata.name=${nodeName}` });
  return {
    object: (): Node => {
      const known = withoutNulls(ownNode.get(nodeName));
      if (known?.status?.allocatable !== undefined) return known;
      const metadata = { name: nodeName, labels: { ...labels, ...known?.metadata.labels } };
      return { apiVersion: 'v1', kind: 'Node', metadata, status: { allocatable } };
    },
    hostIPs: secondNodeIP === undefined ? [nodeIP] : [nodeIP, secondNodeIP],
    memoryBytes: facts.memoryBytes,
    capacity,
    allocatable: () => allocatable,
    clusterDNS: [options.clusterDNS].flat(),
    clusterDomain: options.clusterDomain,
    cgroupRoot: options.cgroupRoot ?? `/coracle-${options.clusterId}`,
    podPidsMax: options.podPidsMax,
    hasSELinux: hasSELinux((path) => machine.readFile(path)),
  };
}

/** Of a namespace, and the API's own. */
function servicesOf(informer: Informer<Service>) {
  return (namespace: string): readonly Service[] => {
    const ofDefault = [...informer.listNamespace('default')];
    if (namespace === 'default') return ofDefault;
    const api = ofDefault.filter(({ metadata }) => metadata.name === 'kubernetes');
    return [...api, ...informer.listNamespace(namespace)];
  };
}
