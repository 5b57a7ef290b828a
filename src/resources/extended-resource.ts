/**
 * Resources that vendors count by the piece: devices, licences. Their names have a domain that is
 * not Kubernetes' own, and their amounts are whole numbers.
 *
 * Behaviour: kubernetes.io, "Extended resources".
 */

/** By its form alone; whether the name is well formed is another question. */
export function isExtendedResource(name: string): boolean {
  return name.includes('/') && !name.includes('kubernetes.io/') && !name.startsWith('requests.');
}
