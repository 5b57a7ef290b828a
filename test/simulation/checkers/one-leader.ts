/**
 * Where there are several copies of a component, only the one that the Lease names writes. Writes
 * that the network carries out after their sender gave up are not the sender's any more.
 */
import type { Lease } from '#resources/types/coordination-v1.ts';
import { leaseNamespace } from '../cluster-parts.ts';
import type { WorldEvent } from '../trace.ts';
import type { Checker } from './checker.ts';
import { writtenOf } from './written.ts';

export class OneLeader implements Checker {
  readonly name = 'one leader';
  judged = 0;
  /** Lease → who holds it. */
  readonly #holders = new Map<string, string>();

  onEvent(event: WorldEvent): string | undefined {
    const lease = writtenOf<Lease>(event, 'Lease');
    if (lease !== undefined) {
      const { metadata, spec } = lease.object;
      if (metadata.namespace !== leaseNamespace) return undefined;
      this.#holders.set(metadata.name ?? '', spec?.holderIdentity ?? '');
      return undefined;
    }
    if (event.what !== 'acted' || event.request.includes('/leases')) return undefined;
    const holder = this.#holders.get(event.copy.replace(/-\d$/, ''));
    if (holder === undefined || event.copy.endsWith('-mistake')) return undefined;
    this.judged += 1;
    if (holder === event.copy) return undefined;
    return `${event.copy} writes ${event.request}, and ${holder || 'nobody'} leads`;
  }
}
