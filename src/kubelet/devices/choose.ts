/**
 * Which devices of one resource a container gets. Pure.
 *
 * What the container holds already stays its own; devices of the pod's init containers that have
 * ended by then are used again; the rest comes from the healthy ones that nobody has, first those
 * on the NUMA nodes that were agreed, then those that the plugin prefers. `device-manager.ts`
 * asks and acts. Texts are upstream's.
 */
import type { Mask } from '../placement/masks.ts';
import { byAffinity } from './device-hints.ts';

export interface DeviceFacts {
  readonly podUid: string;
  readonly container: string;
  readonly resource: string;
  readonly required: number;
  /** Given to this container before. */
  readonly held: ReadonlySet<string> | undefined;
  /** Of the pod's init containers. */
  readonly reusable: ReadonlySet<string>;
  /** Undefined: no plugin has said that it has this resource. */
  readonly healthy: ReadonlySet<string> | undefined;
  readonly inUse: ReadonlySet<string>;
  /** Device → its NUMA nodes. */
  readonly nodesOf: ReadonlyMap<string, readonly number[]>;
  /** Nodes that were agreed on; undefined: any. */
  readonly mask: Mask | undefined;
}

export type DeviceChoice =
  | { readonly do: 'nothing' }
  | { readonly do: 'refuse'; readonly message: string }
  | { readonly do: 'take'; readonly ids: readonly string[] }
  /** `more` of these, beside those that are certain. */
  | {
      readonly do: 'choose';
      readonly certain: readonly string[];
      readonly available: readonly string[];
      readonly more: number;
    };

export function planDevices(facts: DeviceFacts): DeviceChoice {
  const { podUid, container, resource, required, held, healthy } = facts;
  const refuse = (message: string): DeviceChoice => ({ do: 'refuse', message });
  if (held !== undefined && held.size !== required) {
    return refuse(
      `pod "${podUid}" container "${container}" changed request for resource "${resource}" ` +
        `from ${held.size} to ${required}`,
    );
  }
  if (healthy === undefined) return refuse(`cannot allocate unregistered device ${resource}`);
  if (healthy.size === 0) {
    return refuse(`no healthy devices present; cannot allocate unhealthy devices ${resource}`);
  }
  if (held !== undefined && [...held].some((id) => !healthy.has(id))) {
    return refuse(
      'previously allocated devices are no longer healthy; ' +
        `cannot allocate unhealthy devices ${resource}`,
    );
  }
  if (held !== undefined || required === 0) return { do: 'nothing' };
  const certain = [...facts.reusable].sort().slice(0, required);
  const more = required - certain.length;
  if (more === 0) return { do: 'take', ids: certain };
  const available = [...healthy].filter((id) => !facts.inUse.has(id)).sort();
  if (available.length < more) {
    return refuse(
      `requested number of devices unavailable for ${resource}. ` +
        `Requested: ${more}, Available: ${available.length}`,
    );
  }
  const { near, far } = byAffinity(available, facts.nodesOf, facts.mask);
  if (more < near.length) return { do: 'choose', certain, available: near, more };
  const all = [...certain, ...near];
  if (more === near.length) return { do: 'take', ids: all };
  return { do: 'choose', certain: all, available: far, more: more - near.length };
}

/** Those that the plugin prefers come first; what it names that cannot be had is passed over. */
export function takeDevices(
  { certain, available, more }: Extract<DeviceChoice, { do: 'choose' }>,
  preferred: readonly string[],
): readonly string[] {
  const free = new Set(available);
  const order = new Set([...preferred.filter((id) => free.has(id)), ...available]);
  return [...certain, ...[...order].slice(0, more)];
}
