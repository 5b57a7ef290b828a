/**
 * Whether a toleration bears a taint.
 *
 * Keys and effects must be equal, where an absent key (with operator Exists) or effect stands for
 * any. The operator Equal, the default, also compares values; Exists does not look at them; Lt and
 * Gt compare them as whole numbers: the taint's value against the toleration's.
 *
 * Behaviour: kubernetes.io, "Taints and Tolerations"; KEP-5471 for Lt and Gt.
 */
import type { Taint, Toleration } from '#resources/types/core-v1.ts';
import type { DeviceTaint, DeviceToleration } from '#resources/types/resource-v1.ts';

export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  const value = toleration.value ?? '';
  switch (toleration.operator ?? '') {
    case '':
    case 'Equal':
      return Boolean(toleration.key) && value === (taint.value ?? '');
    case 'Exists':
      return true;
    case 'Lt':
      return compareNumbers(taint.value, value) < 0;
    case 'Gt':
      return compareNumbers(taint.value, value) > 0;
    default:
      return false;
  }
}

/** The same for taints of devices, where an absent key stands for any with both operators. */
export function toleratesDevice(toleration: DeviceToleration, taint: DeviceTaint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  if (toleration.operator === 'Exists') return true;
  const equal = !toleration.operator || toleration.operator === 'Equal';
  return equal && (toleration.value ?? '') === (taint.value ?? '');
}

export function toleratesAll(
  tolerations: readonly Toleration[],
  taints: readonly Taint[],
): boolean {
  // Asked of every node for every pod: nothing is made on the way.
  for (const taint of taints) if (!isTolerated(tolerations, taint)) return false;
  return true;
}

function isTolerated(tolerations: readonly Toleration[], taint: Taint): boolean {
  for (const toleration of tolerations) if (tolerates(toleration, taint)) return true;
  return false;
}

/** NaN where either is no whole number, so that no comparison holds. */
function compareNumbers(left: string | undefined, right: string): number {
  const whole = /^-?\d+$/;
  if (left === undefined || !whole.test(left) || !whole.test(right)) return Number.NaN;
  return Number(left) - Number(right);
}
