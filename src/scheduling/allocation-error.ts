/**
 * Devices cannot be looked for at all: a selector cannot be judged, a claim asks for what no claim
 * may have, a search took too long. The pod is tried again later; no node is told to be unfit.
 *
 * Thrown inside the allocator, caught by the rule of devices.
 */
export class AllocationError extends Error {
  override readonly name = 'AllocationError';
  /** The search of a node took too long. */
  readonly late: boolean;

  constructor(message: string, { late = false }: { readonly late?: boolean } = {}) {
    super(message);
    this.late = late;
  }
}
