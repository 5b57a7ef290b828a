/**
 * Defaults of claims for volumes, also of those that a StatefulSet has templates for.
 */
import { inThousandths, withRoundAmounts } from '../amounts.ts';
import { changeMember, fillIn } from '../fill-in.ts';
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from '../types/core-v1.ts';

export function setPersistentVolumeClaimDefaults(
  claim: PersistentVolumeClaim,
): PersistentVolumeClaim {
  const next = changeMember(claim, 'spec', setClaimSpecDefaults);
  let status = fillIn(next.status ?? {}, { phase: 'Pending' });
  status = changeMember(status, 'capacity', inThousandths);
  status = changeMember(status, 'allocatedResources', inThousandths);
  return status === next.status ? next : { ...next, status };
}

function setClaimSpecDefaults(spec: PersistentVolumeClaimSpec): PersistentVolumeClaimSpec {
  const next = changeMember(spec, 'resources', withRoundAmounts);
  // An empty text is not absent here: it is refused.
  return next.volumeMode === undefined ? { ...next, volumeMode: 'Filesystem' } : next;
}
