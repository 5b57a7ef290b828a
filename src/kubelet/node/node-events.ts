/**
 * What is said of a node when its status changes: events about the Node, as `kubectl describe node`
 * shows them. Reasons and words are upstream's. Pure; `node-registration.ts` records them.
 */
import type { NodeStatus } from '#resources/types/core-v1.ts';

export interface NodeEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** Condition → reasons when it holds and when it does not. */
const reasons: Readonly<Record<string, readonly [holds: string, not: string]>> = {
  MemoryPressure: ['NodeHasInsufficientMemory', 'NodeHasSufficientMemory'],
  DiskPressure: ['NodeHasDiskPressure', 'NodeHasNoDiskPressure'],
  PIDPressure: ['NodeHasInsufficientPID', 'NodeHasSufficientPID'],
  Ready: ['NodeReady', 'NodeNotReady'],
};

export interface NodeNews {
  readonly nodeName: string;
  /** Told last; undefined for a node that is new. */
  readonly before: NodeStatus | undefined;
  readonly now: NodeStatus;
}

export function planNodeEvents({ nodeName, before, now }: NodeNews): readonly NodeEvent[] {
  const events: NodeEvent[] = [];
  const [bootID, last] = [now.nodeInfo?.bootID ?? '', before?.nodeInfo?.bootID ?? ''];
  if (last !== '' && last !== bootID) {
    const message = `Node ${nodeName} has been rebooted, boot id: ${bootID}`;
    events.push({ type: 'Warning', reason: 'Rebooted', message });
  }
  for (const [type, [holds, not]] of Object.entries(reasons)) {
    const status = statusOf(now, type);
    if (status === statusOf(before, type)) continue;
    // A node that is new is not ready yet: nobody had thought so.
    if (type === 'Ready' && before === undefined && status !== 'True') continue;
    events.push(statusEvent(nodeName, status === 'True' ? holds : not));
  }
  return events;
}

export function schedulingEvent(nodeName: string, isSchedulable: boolean): NodeEvent {
  return statusEvent(nodeName, isSchedulable ? 'NodeSchedulable' : 'NodeNotSchedulable');
}

function statusEvent(nodeName: string, reason: string): NodeEvent {
  return { type: 'Normal', reason, message: `Node ${nodeName} status is now: ${reason}` };
}

function statusOf(status: NodeStatus | undefined, type: string): string | undefined {
  return status?.conditions?.find((condition) => condition.type === type)?.status;
}
