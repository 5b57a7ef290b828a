/**
 * Validation of Services: ports, addresses, policies, and which of them fit which type.
 * Runs after the allocator has given out addresses, so it sees the Service as it will be stored.
 */
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
} from '#api/field-error.ts';
import { labelProblems, qualifiedNameProblems, subdomainProblems } from '#api/names.ts';
import { validateLabels } from '#api/object-meta.ts';
import { validateCIDR, validateEndpointIP, validateIP } from '#resources/ip-syntax.ts';
import type { Service, ServicePort, ServiceSpec } from '#resources/types/core-v1.ts';
import {
  protocols,
  validateChoice,
  validatePort,
  validatePortOrName,
} from '#resources/value-validation.ts';
import { isExternallyAccessible } from './defaults.ts';

const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const affinities = ['ClientIP', 'None'];
const policies = ['Cluster', 'Local'];
const affinitySecondsMax = 86_400;

export function validateService({ metadata, spec = {} }: Service): FieldError[] {
  return [
    ...validateShape(spec),
    ...validatePorts(spec),
    ...validateLabels(spec.selector, 'spec.selector'),
    ...validateAffinity(spec),
    ...validateClusterIPs(spec),
    ...validateExternal(spec),
    ...validateOldRanges(metadata.annotations?.[rangesAnnotation], spec),
    ...validateTrafficPolicies(spec),
    ...validateDistribution(spec),
  ];
}

const rangesAnnotation = 'service.beta.kubernetes.io/load-balancer-source-ranges';

/** The ranges as they were written before there was a field, which counts where it stands. */
function validateOldRanges(text: string | undefined, spec: ServiceSpec): FieldError[] {
  if (text === undefined || (spec.loadBalancerSourceRanges ?? []).length > 0) return [];
  const field = `metadata.annotations[${rangesAnnotation}]`;
  if (spec.type !== 'LoadBalancer') {
    return [forbidden(field, "may only be used when `type` is 'LoadBalancer'")];
  }
  if (text.trim() === '') return [];
  return text.split(',').flatMap((range) => validateCIDR(range.trim(), field));
}

const distributions = ['PreferClose', 'PreferSameZone', 'PreferSameNode'];

function validateDistribution({ trafficDistribution: wanted }: ServiceSpec): FieldError[] {
  if (wanted === undefined || distributions.includes(wanted)) return [];
  return [notSupported('spec.trafficDistribution', wanted, distributions)];
}

function isHeadless({ clusterIPs = [] }: ServiceSpec): boolean {
  return clusterIPs[0] === 'None';
}

/** What the type asks for. */
function validateShape(spec: ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  const { type, ports = [], clusterIPs = [], externalName } = spec;
  if (ports.length === 0 && !isHeadless(spec) && type !== 'ExternalName') {
    errors.push(required('spec.ports'));
  }
  switch (type) {
    case 'LoadBalancer':
    case 'NodePort':
      if (isHeadless(spec)) {
        const detail = `may not be set to 'None' for ${type} services`;
        errors.push(invalid('spec.clusterIPs[0]', clusterIPs[0], detail));
      }
      break;
    case 'ExternalName':
      if (clusterIPs.length > 0) {
        errors.push(forbidden('spec.clusterIPs', 'may not be set for ExternalName services'));
      }
      if ((spec.ipFamilies ?? []).length > 0) {
        errors.push(forbidden('spec.ipFamilies', 'may not be set for ExternalName services'));
      }
      if (spec.ipFamilyPolicy !== undefined) {
        errors.push(forbidden('spec.ipFamilyPolicy', 'may not be set for ExternalName services'));
      }
      if (!externalName) errors.push(required('spec.externalName'));
      else {
        for (const problem of subdomainProblems(externalName.replace(/\.$/, ''))) {
          errors.push(invalid('spec.externalName', externalName, problem));
        }
      }
      break;
    case 'ClusterIP':
      break;
    default:
      errors.push(...validateChoice(type, types, 'spec.type'));
  }
  return errors;
}

function validatePorts(spec: ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  const { ports = [], type } = spec;
  const names = new Set<string>();
  const nodePorts = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const at = `spec.ports[${index}]`;
    errors.push(...validateServicePort(port, { needsName: ports.length > 1, names }, at));
    if (port.nodePort) {
      if (type === 'ClusterIP') {
        const detail = "may not be used when `type` is 'ClusterIP'";
        errors.push(forbidden(`${at}.nodePort`, detail));
      }
      const key = `${port.protocol}/${port.nodePort}`;
      if (nodePorts.has(key)) errors.push(duplicate(`${at}.nodePort`, port.nodePort));
      nodePorts.add(key);
    }
    const key = `${port.protocol}/${port.port}`;
    if (numbers.has(key)) {
      errors.push(duplicate(at, shownPort(port)));
    }
    numbers.add(key);
  }
  return errors;
}

/** As upstream shows what makes a port the same as another: its internal type. */
function shownPort({ protocol, port }: ServicePort): object {
  const rest = { TargetPort: 0, NodePort: 0 };
  return { Name: '', Protocol: protocol, AppProtocol: null, Port: port, ...rest };
}

function validateServicePort(
  port: ServicePort,
  { needsName, names }: { readonly needsName: boolean; readonly names: Set<string> },
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (!port.name) {
    if (needsName) errors.push(required(`${field}.name`));
  } else {
    for (const problem of labelProblems(port.name)) {
      errors.push(invalid(`${field}.name`, port.name, problem));
    }
    if (names.has(port.name)) errors.push(duplicate(`${field}.name`, port.name));
    names.add(port.name);
  }
  errors.push(...validatePort(port.port ?? 0, `${field}.port`));
  errors.push(...validateChoice(port.protocol, protocols, `${field}.protocol`));
  errors.push(...validatePortOrName(port.targetPort, `${field}.targetPort`));
  const { appProtocol } = port;
  for (const problem of appProtocol === undefined ? [] : qualifiedNameProblems(appProtocol)) {
    errors.push(invalid(`${field}.appProtocol`, appProtocol, problem));
  }
  return errors;
}

function validateAffinity({ sessionAffinity, sessionAffinityConfig }: ServiceSpec): FieldError[] {
  const errors = validateChoice(sessionAffinity, affinities, 'spec.sessionAffinity');
  const field = 'spec.sessionAffinityConfig';
  if (sessionAffinity === 'None') {
    if (sessionAffinityConfig === undefined) return errors;
    const detail = 'must not be set when session affinity is None';
    return [...errors, forbidden(field, detail)];
  }
  if (sessionAffinity !== 'ClientIP') return errors;
  const seconds = sessionAffinityConfig?.clientIP?.timeoutSeconds;
  const at = `${field}.clientIP.timeoutSeconds`;
  if (seconds === undefined) {
    errors.push(required(at, 'when session affinity type is ClientIP'));
  } else if (seconds <= 0 || seconds > affinitySecondsMax) {
    const detail = `must be greater than 0 and less than ${affinitySecondsMax}`;
    errors.push(invalid(at, seconds, detail));
  }
  return errors;
}

function validateClusterIPs(spec: ServiceSpec): FieldError[] {
  const { clusterIP = '', clusterIPs = [] } = spec;
  const errors: FieldError[] = [];
  if (clusterIP !== '' && clusterIPs[0] !== clusterIP) {
    const detail = 'first value must match `clusterIP`';
    errors.push(invalid('spec.clusterIPs', clusterIPs, detail));
  }
  if (clusterIPs.length > 2) {
    errors.push(invalid('spec.clusterIPs', clusterIPs, 'may only hold up to 2 values'));
  }
  for (const [index, address] of clusterIPs.entries()) {
    if (index === 0 && address === 'None') {
      if (clusterIPs.length > 1) {
        const detail = "'None' must be the first and only value";
        errors.push(invalid('spec.clusterIPs', clusterIPs, detail));
      }
      continue;
    }
    errors.push(...validateIP(address, `spec.clusterIPs[${index}]`));
  }
  return errors;
}

function validateExternal(spec: ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, address] of (spec.externalIPs ?? []).entries()) {
    const at = `spec.externalIPs[${index}]`;
    const odd = validateIP(address, at);
    errors.push(...(odd.length > 0 ? odd : validateEndpointIP(address, at)));
  }
  const { type, loadBalancerSourceRanges: ranges = [] } = spec;
  if (ranges.length > 0 && type !== 'LoadBalancer') {
    const detail = "may only be used when `type` is 'LoadBalancer'";
    errors.push(forbidden('spec.LoadBalancerSourceRanges', detail));
  }
  for (const [index, range] of ranges.entries()) {
    errors.push(...validateCIDR(range.trim(), `spec.LoadBalancerSourceRanges[${index}]`));
  }
  const { loadBalancerClass } = spec;
  if (loadBalancerClass !== undefined && type === 'LoadBalancer') {
    for (const problem of qualifiedNameProblems(loadBalancerClass)) {
      errors.push(invalid('spec.loadBalancerClass', loadBalancerClass, problem));
    }
  } else if (loadBalancerClass !== undefined) {
    const detail = "may only be used when `type` is 'LoadBalancer'";
    errors.push(forbidden('spec.loadBalancerClass', detail));
  }
  if (spec.allocateLoadBalancerNodePorts !== undefined && type !== 'LoadBalancer') {
    const detail = "may only be used when `type` is 'LoadBalancer'";
    errors.push(forbidden('spec.allocateLoadBalancerNodePorts', detail));
  }
  return errors;
}

function validateTrafficPolicies(spec: ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  const { externalTrafficPolicy, internalTrafficPolicy, type } = spec;
  if (isExternallyAccessible(spec)) {
    errors.push(...validateChoice(externalTrafficPolicy, policies, 'spec.externalTrafficPolicy'));
  } else if (externalTrafficPolicy) {
    const detail = 'may only be set for externally-accessible services';
    errors.push(invalid('spec.externalTrafficPolicy', externalTrafficPolicy, detail));
  }
  if (internalTrafficPolicy !== undefined) {
    if (!policies.includes(internalTrafficPolicy)) {
      errors.push(notSupported('spec.internalTrafficPolicy', internalTrafficPolicy, policies));
    }
  } else if (type !== 'ExternalName') {
    errors.push(required('spec.internalTrafficPolicy'));
  }
  const { healthCheckNodePort } = spec;
  const local = type === 'LoadBalancer' && externalTrafficPolicy === 'Local';
  if (healthCheckNodePort && !local) {
    const detail =
      "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
    errors.push(invalid('spec.healthCheckNodePort', healthCheckNodePort, detail));
  }
  return errors;
}

/** An address, once given out, stays; only a change from or to ExternalName may drop it. */
export function validateServiceUpdate(next: Service, old: Service): FieldError[] {
  const { spec = {} } = next;
  const before = old.spec ?? {};
  if (spec.type === 'ExternalName' || before.type === 'ExternalName') return [];
  const now = spec.clusterIPs ?? [];
  const was = before.clusterIPs ?? [];
  const errors: FieldError[] = [];
  const balanced = spec.type === 'LoadBalancer' && before.type === 'LoadBalancer';
  if (balanced && spec.loadBalancerClass !== before.loadBalancerClass) {
    const detail = 'may not change once set';
    errors.push(invalid('spec.loadBalancerClass', spec.loadBalancerClass, detail));
  }
  if (was.length > 0 && now.length === 0) {
    return [invalid('spec.clusterIPs[0]', now, 'primary clusterIP can not be unset')];
  }
  for (const [index, address] of was.entries()) {
    if (now[index] === undefined || now[index] === address) continue;
    errors.push(invalid(`spec.clusterIPs[${index}]`, now, 'may not change once set'));
  }
  return errors;
}
