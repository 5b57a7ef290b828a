/**
 * Validation of a Service's status: the addresses at which a load balancer answers. Whoever runs
 * the load balancer writes them, through the `status` sub-resource. Called by the descriptor.
 */
import { isIP } from 'node:net';
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
import { subdomainProblems } from '#api/names.ts';
import { changeMember, fillIn, mapItems } from '#resources/fill-in.ts';
import { validateIP } from '#resources/ip-syntax.ts';
import type { LoadBalancerIngress, Service } from '#resources/types/core-v1.ts';

const modes = ['Proxy', 'VIP'];

/** Packets to an address arrive with it, unless it says that they do not. */
export function setIngressDefaults(service: Service): Service {
  return changeMember(service, 'status', (status) =>
    changeMember(status, 'loadBalancer', (balancer) =>
      changeMember(balancer, 'ingress', (ingresses) =>
        mapItems(ingresses, (ingress) =>
          ingress.ip && ingress.ipMode === undefined ? fillIn(ingress, { ipMode: 'VIP' }) : ingress,
        ),
      ),
    ),
  );
}

export function validateServiceStatus({ spec, status }: Service, old: Service): FieldError[] {
  const field = 'status.loadBalancer.ingress';
  const ingresses = status?.loadBalancer?.ingress ?? [];
  if (spec?.type !== 'LoadBalancer' && ingresses.length > 0) {
    return [forbidden(field, "may only be used when `spec.type` is 'LoadBalancer'")];
  }
  const known = new Set((old.status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip));
  return ingresses.flatMap((ingress, index) =>
    validateIngress(ingress, known, `${field}[${index}]`),
  );
}

function validateIngress(
  { ip = '', ipMode, hostname = '' }: LoadBalancerIngress,
  known: ReadonlySet<string | undefined>,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (ip !== '' && !known.has(ip)) errors.push(...validateIP(ip, `${field}.ip`));
  const at = `${field}.ipMode`;
  if (ipMode === undefined) {
    if (ip !== '') errors.push(required(at, 'must be specified when `ip` is set'));
  } else if (ip === '') {
    errors.push(forbidden(at, 'may not be specified when `ip` is not set'));
  } else if (!modes.includes(ipMode)) {
    errors.push(notSupported(at, ipMode, modes));
  }
  if (hostname === '') return errors;
  for (const problem of subdomainProblems(hostname)) {
    errors.push(invalid(`${field}.hostname`, hostname, problem));
  }
  if (isIP(hostname) !== 0) {
    errors.push(invalid(`${field}.hostname`, hostname, 'must be a DNS name, not an IP address'));
  }
  return errors;
}
