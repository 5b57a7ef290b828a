/**
 * The pod's claims must have volumes that the node can reach: bound ones by their node affinity,
 * claims that wait for their first pod by finding one, or by having one made for the node.
 *
 * What is found becomes steps that are taken with the place and written before the binding. Claims
 * are matched smallest first, so that big volumes are kept for big claims.
 */
import { objectKey } from '#api/object.ts';
import type { PersistentVolume, PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import { volumeAnnotations } from '#resources/volumes/volume-matching.ts';
import type { Cluster } from '../cluster.ts';
import type { NodeInfo } from '../node-info.ts';
import {
  type BindStep,
  fits,
  type NodeFilter,
  type Plugin,
  type Rejection,
  rejected,
  skip,
  type Verdict,
} from '../plugin.ts';
import {
  canReach,
  isOwnClaim,
  podClaims,
  provisionOn,
  requestOf,
  suitableVolumes,
} from '../volumes.ts';

const bindConflict = "node(s) didn't find available persistent volumes to bind";
const nodeConflict = "node(s) didn't match PersistentVolume's node affinity";
const lacksSpace = 'node(s) did not have enough free storage';
const noVolume = 'node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)';

export const volumeBinding: Plugin = {
  name: 'VolumeBinding',
  filter: (pod, cluster) => {
    if (pod.claims.length === 0) return skip;
    const claims = podClaims(pod, cluster);
    if (!claims.ok) {
      return { do: 'reject', rejection: rejected(claims.reason, { unresolvable: true }) };
    }
    if (claims.immediate.length > 0) {
      const reason = 'pod has unbound immediate PersistentVolumeClaims';
      return { do: 'reject', rejection: rejected(reason, { unresolvable: true }) };
    }
    return { do: 'ask', filter: new VolumeFilter(claims.bound, claims.delayed, cluster) };
  },
  helps: (change, pod) => {
    if (change.what === 'nodeAdded' || change.what === 'podChanged') return true;
    if (change.what === 'nodeChanged') {
      const labels = ({ metadata }: typeof change.node): string => JSON.stringify(metadata.labels);
      return labels(change.node) !== labels(change.old);
    }
    if (isOwnClaim(change, pod)) return true;
    return (
      change.what === 'fact' &&
      change.action !== 'Delete' &&
      ['volume', 'storageClass', 'csiNode', 'csiDriver', 'storageCapacity'].includes(change.kind)
    );
  },
};

/** What the node could give to the claims, or what it cannot. */
type Match =
  | { readonly ok: true; readonly steps: readonly BindStep[] }
  | { readonly ok: false; readonly reasons: readonly string[] };

interface Wanting {
  readonly claim: PersistentVolumeClaim;
  readonly key: string;
  readonly volumes: readonly PersistentVolume[];
}

class VolumeFilter implements NodeFilter {
  readonly #cluster: Cluster;
  /** Undefined where the volume is not there. */
  readonly #bound: readonly (PersistentVolume | undefined)[];
  readonly #wanting: readonly Wanting[];

  constructor(
    bound: readonly PersistentVolumeClaim[],
    delayed: readonly PersistentVolumeClaim[],
    cluster: Cluster,
  ) {
    this.#cluster = cluster;
    const { persistentVolumes } = cluster.facts;
    this.#bound = bound.map(({ spec }) => persistentVolumes.get(spec?.volumeName ?? ''));
    this.#wanting = delayed
      .map((claim) => ({
        claim,
        key: objectKey(claim),
        volumes: chosenNode(claim, cluster) === undefined ? suitableVolumes(claim, cluster) : [],
      }))
      .sort((left, right) => requestOf(left.claim) - requestOf(right.claim));
  }

  check(node: NodeInfo): Verdict {
    const match = this.#match(node);
    if (match.ok) return fits;
    return { fits: false, reasons: match.reasons, unresolvable: true } satisfies Rejection;
  }

  steps(node: NodeInfo): readonly BindStep[] {
    const match = this.#match(node);
    return match.ok ? match.steps : [];
  }

  remedies(node: NodeInfo): readonly string[] {
    const match = this.#match(node);
    if (match.ok) return [];
    return match.reasons.map((reason) => {
      if (reason === nodeConflict) return `use volumes that ${node.name} can reach`;
      if (reason === noVolume) return 'bind its claims to volumes that exist';
      if (reason === lacksSpace) return 'ask for smaller volumes';
      return `make volumes for its claims that ${node.name} can reach`;
    });
  }

  #match(node: NodeInfo): Match {
    const reasons: string[] = [];
    if (this.#bound.some((volume) => volume !== undefined && !canReach(volume, node))) {
      reasons.push(nodeConflict);
    }
    const unbound = this.#matchWanting(node);
    if (!unbound.ok) reasons.push(...unbound.reasons);
    if (this.#bound.includes(undefined)) reasons.push(noVolume);
    return reasons.length === 0 ? unbound : { ok: false, reasons };
  }

  #matchWanting(node: NodeInfo): Match {
    const taken = new Set<PersistentVolume>();
    const steps: BindStep[] = [];
    for (const { claim, key, volumes } of this.#wanting) {
      const chosen = chosenNode(claim, this.#cluster);
      if (chosen !== undefined && chosen !== node.name) {
        return { ok: false, reasons: [bindConflict] };
      }
      const volume = volumes.find((one) => !taken.has(one) && canReach(one, node));
      if (volume !== undefined) {
        taken.add(volume);
        steps.push({ do: 'bindVolume', volume: volume.metadata.name ?? '', claim: key });
        continue;
      }
      const provision = provisionOn(claim, node, this.#cluster);
      if (provision !== 'possible') {
        const reason = provision === 'lacksSpace' ? lacksSpace : bindConflict;
        return { ok: false, reasons: [reason] };
      }
      steps.push({ do: 'selectNode', claim: key, node: node.name });
    }
    return { ok: true, steps };
  }
}

/** The node for which a volume is being made already. */
function chosenNode(claim: PersistentVolumeClaim, cluster: Cluster): string | undefined {
  return (
    claim.metadata.annotations?.[volumeAnnotations.selectedNode] ??
    cluster.assumptions.nodeOf(objectKey(claim))
  );
}
