/**
 * Lease: who holds what, renewed since when. Node heartbeats and leader election are Leases, so it
 * is the kind written most often; its validation stays small.
 */
import { type FieldError, invalid } from '#api/field-error.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { without } from '../fill-in.ts';
import type { Lease } from '../types/coordination-v1.ts';
import { hubView } from '../view.ts';

export function leaseResource(): Resource {
  return defineResource<Lease>({
    kind: 'Lease',
    plural: 'leases',
    singular: 'lease',
    shortNames: [],
    categories: [],
    namespaced: true,
    storagePrefix: 'leases',
    metadataRechecked: 'change',
    views: [
      hubView({
        group: 'coordination.k8s.io',
        version: 'v1',
        definition: 'io.k8s.api.coordination.v1.Lease',
      }),
    ],
    hasStatus: false,
    specChanged: () => false,
    allowCreateOnUpdate: true,
    allowUnconditionalUpdate: false,
    prepareForCreate: (lease) => withoutElection(lease, undefined),
    prepareForUpdate: withoutElection,
    validate: validateLease,
    columns: [
      nameColumn(),
      {
        name: 'Holder',
        type: 'string',
        description: 'Identity of the present holder.',
        priority: 0,
        cell: ({ spec }) => spec?.holderIdentity ?? '',
      },
      ageColumn(),
    ],
  });
}

/** Coordinated election is not switched on upstream; what is stored of it stays. */
function withoutElection(next: Lease, old: Lease | undefined): Lease {
  const { strategy, preferredHolder } = old?.spec ?? {};
  if (next.spec === undefined || strategy !== undefined || preferredHolder !== undefined) {
    return next;
  }
  return { ...next, spec: without(next.spec, 'strategy', 'preferredHolder') };
}

function validateLease({ spec }: Lease): FieldError[] {
  const errors: FieldError[] = [];
  const { leaseDurationSeconds, leaseTransitions } = spec ?? {};
  if (leaseDurationSeconds !== undefined && leaseDurationSeconds <= 0) {
    errors.push(
      invalid('spec.leaseDurationSeconds', leaseDurationSeconds, 'must be greater than 0'),
    );
  }
  if (leaseTransitions !== undefined && leaseTransitions < 0) {
    errors.push(
      invalid('spec.leaseTransitions', leaseTransitions, 'must be greater than or equal to 0'),
    );
  }
  return errors;
}
