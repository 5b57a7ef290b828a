/**
 * Ingress: hosts and paths of HTTP traffic from outside, and the Services behind them. Validation
 * is in `ingress-validation.ts`, the shape that manifests of old have in `ingress-v1beta1.ts`.
 */
import { invalid } from '#api/field-error.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { textColumn } from '../text-column.ts';
import type { Ingress } from '../types/networking-v1.ts';
import { hubView } from '../view.ts';
import { ingressV1beta1View } from './ingress-v1beta1.ts';
import { validateIngress, validateIngressStatus } from './ingress-validation.ts';

const hostsShown = 3;

const classAnnotation = 'kubernetes.io/ingress.class';

export function ingressResource(): Resource {
  return defineResource<Ingress>({
    kind: 'Ingress',
    plural: 'ingresses',
    singular: 'ingress',
    shortNames: ['ing'],
    categories: [],
    namespaced: true,
    storagePrefix: 'ingress',
    views: [
      hubView({
        group: 'networking.k8s.io',
        version: 'v1',
        definition: 'io.k8s.api.networking.v1.Ingress',
      }),
      ingressV1beta1View('networking.k8s.io'),
      ingressV1beta1View('extensions'),
    ],
    hasStatus: true,
    prepareForCreate: (ingress) => ({ ...ingress, status: { loadBalancer: {} } }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    validate: validateIngress,
    validateNew: ({ metadata, spec }) => {
      const named = metadata.annotations?.[classAnnotation];
      const { ingressClassName } = spec ?? {};
      if (named === undefined || ingressClassName === undefined) return [];
      if (named === ingressClassName) return [];
      const detail = 'must match `ingressClassName` when both are specified';
      return [invalid(`annotations.${classAnnotation}`, named, detail)];
    },
    validateStatusUpdate: validateIngressStatus,
    warnings: ({ metadata, spec }, old) =>
      old !== undefined ||
      metadata.annotations?.[classAnnotation] === undefined ||
      spec?.ingressClassName !== undefined
        ? []
        : [
            `annotation "${classAnnotation}" is deprecated, please use 'spec.ingressClassName' instead`,
          ],
    columns: [
      nameColumn(),
      textColumn({
        name: 'Class',
        description: 'Which controller is to serve it.',
        cell: ({ spec }) => spec?.ingressClassName ?? '<none>',
      }),
      textColumn({ name: 'Hosts', description: 'Hosts with rules.', cell: hostsText }),
      textColumn({
        name: 'Address',
        description: 'Where the traffic arrives.',
        cell: addressText,
      }),
      textColumn({
        name: 'Ports',
        description: 'Ports that are open.',
        cell: ({ spec }) => ((spec?.tls ?? []).length > 0 ? '80, 443' : '80'),
      }),
      ageColumn(),
    ],
  });
}

function hostsText({ spec }: Ingress): string {
  const hosts = (spec?.rules ?? []).map(({ host }) => host ?? '').filter((host) => host !== '');
  if (hosts.length === 0) return '*';
  const shown = hosts.slice(0, hostsShown).join(',');
  const more = hosts.length - hostsShown;
  return more > 0 ? `${shown} + ${more} more...` : shown;
}

function addressText({ status }: Ingress): string {
  const addresses = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip || hostname);
  return [...new Set(addresses.filter((address) => address))].sort().join(',');
}
