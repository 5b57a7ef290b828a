/**
 * Who has which devices, as it is kept over a restart: one entry for each container and resource,
 * with the plugin's answer. Names are upstream's. Pure; `device-manager.ts` reads and writes.
 */
import { codec, type Received } from './messages.ts';

export type AllocateResponse = Received<'ContainerAllocateResponse'>;

/** What a container has of one resource. */
export interface Held {
  /** Device → its NUMA nodes. */
  readonly devices: ReadonlyMap<string, readonly number[]>;
  readonly response: AllocateResponse;
}

/** By container, by resource. */
export type PodDevices = Map<string, Map<string, Held>>;

export interface Entry {
  readonly PodUID: string;
  readonly ContainerName: string;
  readonly ResourceName: string;
  readonly DeviceIDs: Readonly<Record<string, readonly string[]>>;
  readonly AllocResp: string;
}

/** In an entry: devices of no NUMA node. */
const nowhere = '-1';

export function heldOf({ DeviceIDs, AllocResp }: Entry): Held {
  const devices = new Map<string, readonly number[]>();
  for (const [node, ids] of Object.entries(DeviceIDs)) {
    for (const id of ids) {
      devices.set(id, node === nowhere ? [] : [...(devices.get(id) ?? []), Number(node)]);
    }
  }
  const bytes = Buffer.from(AllocResp, 'base64');
  return { devices, response: codec.decode('ContainerAllocateResponse', bytes) };
}

export function entriesOf(pods: ReadonlyMap<string, PodDevices>): readonly Entry[] {
  const entries: Entry[] = [];
  for (const [PodUID, pod] of pods) {
    for (const [ContainerName, resources] of pod) {
      for (const [ResourceName, { devices, response }] of resources) {
        const bytes = codec.encode('ContainerAllocateResponse', response);
        const AllocResp = Buffer.from(bytes).toString('base64');
        const DeviceIDs = byNode(devices);
        entries.push({ PodUID, ContainerName, ResourceName, DeviceIDs, AllocResp });
      }
    }
  }
  return entries;
}

function byNode(devices: Held['devices']): Entry['DeviceIDs'] {
  const found: Record<string, string[]> = {};
  for (const [id, nodes] of devices) {
    for (const node of nodes.length === 0 ? [nowhere] : nodes.map(String)) {
      found[node] = [...(found[node] ?? []), id];
    }
  }
  return found;
}
