/**
 * NetworkPolicy: which peers may talk to the pods that it selects, and to which they may talk.
 * A policy that says nothing about a direction that it is about allows nothing there.
 */
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
import { portNameProblems } from '#api/names.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { formatLabelSelector } from '#api/selectors.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { changeMember, fillIn, mapItems } from '../fill-in.ts';
import { isStrictlyInside, parseBlock } from '../ip-block.ts';
import { cidrWarnings, validateCIDR } from '../ip-syntax.ts';
import { validateLabelSelector } from '../label-selector-validation.ts';
import { sameShapeView } from '../legacy-view.ts';
import { textColumn } from '../text-column.ts';
import type {
  IPBlock,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  NetworkPolicySpec,
} from '../types/networking-v1.ts';
import { validatePort } from '../value-validation.ts';
import { hubView } from '../view.ts';

const directions = ['Egress', 'Ingress'];
const protocols = ['TCP', 'UDP', 'SCTP'];

export function networkPolicyResource(): Resource {
  const view = hubView<NetworkPolicy>({
    group: 'networking.k8s.io',
    version: 'v1',
    definition: 'io.k8s.api.networking.v1.NetworkPolicy',
    setDefaults: setNetworkPolicyDefaults,
  });
  const old = {
    group: 'extensions',
    version: 'v1beta1',
    definition: 'io.k8s.api.extensions.v1beta1.NetworkPolicy',
  };
  return defineResource<NetworkPolicy>({
    kind: 'NetworkPolicy',
    plural: 'networkpolicies',
    singular: 'networkpolicy',
    shortNames: ['netpol'],
    categories: [],
    namespaced: true,
    storagePrefix: 'networkpolicies',
    metadataRechecked: 'change',
    views: [view, sameShapeView(view, old)],
    hasStatus: false,
    validate: validateNetworkPolicy,
    warnings: blockWarnings,
    columns: [
      nameColumn(),
      textColumn({
        name: 'Pod-Selector',
        description: 'Pods that the policy is about.',
        cell: ({ spec }) => formatLabelSelector(spec?.podSelector ?? {}),
      }),
      ageColumn(),
    ],
  });
}

function setNetworkPolicyDefaults(policy: NetworkPolicy): NetworkPolicy {
  let spec: NetworkPolicySpec = fillIn(policy.spec ?? {}, { podSelector: {} });
  if ((spec.policyTypes ?? []).length === 0) {
    const hasEgress = (spec.egress ?? []).length > 0;
    spec = { ...spec, policyTypes: hasEgress ? ['Ingress', 'Egress'] : ['Ingress'] };
  }
  const setPorts = <T extends { readonly ports?: readonly NetworkPolicyPort[] | undefined }>(
    rule: T,
  ): T =>
    changeMember(rule, 'ports', (ports) =>
      mapItems(ports, (port) => fillIn(port, { protocol: 'TCP' })),
    );
  spec = changeMember(spec, 'ingress', (rules) => mapItems(rules, setPorts));
  spec = changeMember(spec, 'egress', (rules) => mapItems(rules, setPorts));
  return spec === policy.spec ? policy : { ...policy, spec };
}

function validateNetworkPolicy({ spec = {} }: NetworkPolicy): FieldError[] {
  const errors = validateLabelSelector(spec.podSelector, 'spec.podSelector');
  for (const [index, { ports, from }] of (spec.ingress ?? []).entries()) {
    const at = `spec.ingress[${index}]`;
    errors.push(...validatePorts(ports, `${at}.ports`), ...validatePeers(from, `${at}.from`));
  }
  for (const [index, { ports, to }] of (spec.egress ?? []).entries()) {
    const at = `spec.egress[${index}]`;
    errors.push(...validatePorts(ports, `${at}.ports`), ...validatePeers(to, `${at}.to`));
  }
  const types = spec.policyTypes ?? [];
  if (types.length > directions.length) {
    const detail = 'may not specify more than two policyTypes';
    return [...errors, invalid('spec.policyTypes', types, detail)];
  }
  for (const [index, type] of types.entries()) {
    if (directions.includes(type)) continue;
    errors.push(notSupported(`spec.policyTypes[${index}]`, type, directions));
  }
  return errors;
}

function validatePorts(
  ports: readonly NetworkPolicyPort[] | undefined,
  field: string,
): FieldError[] {
  return (ports ?? []).flatMap((port, index) => validatePolicyPort(port, `${field}[${index}]`));
}

function validatePolicyPort(
  { protocol, port, endPort }: NetworkPolicyPort,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (protocol !== undefined && !protocols.includes(protocol)) {
    errors.push(notSupported(`${field}.protocol`, protocol, protocols));
  }
  const at = `${field}.endPort`;
  if (port === undefined) {
    if (endPort === undefined) return errors;
    const detail = 'may not be specified when `port` is not specified';
    return [...errors, invalid(at, endPort, detail)];
  }
  if (typeof port === 'string') {
    if (endPort !== undefined) {
      errors.push(invalid(at, endPort, 'may not be specified when `port` is non-numeric'));
    }
    for (const problem of portNameProblems(port)) {
      errors.push(invalid(`${field}.port`, port, problem));
    }
    return errors;
  }
  errors.push(...validatePort(port, `${field}.port`));
  if (endPort === undefined) return errors;
  if (endPort < port) errors.push(invalid(at, endPort, 'must be greater than or equal to `port`'));
  errors.push(...validatePort(endPort, at));
  return errors;
}

function validatePeers(
  peers: readonly NetworkPolicyPeer[] | undefined,
  field: string,
): FieldError[] {
  return (peers ?? []).flatMap((peer, index) => validatePeer(peer, `${field}[${index}]`));
}

function validatePeer(peer: NetworkPolicyPeer, field: string): FieldError[] {
  const { podSelector, namespaceSelector, ipBlock } = peer;
  const errors = [
    ...validateLabelSelector(podSelector, `${field}.podSelector`),
    ...validateLabelSelector(namespaceSelector, `${field}.namespaceSelector`),
  ];
  const selects = podSelector !== undefined || namespaceSelector !== undefined;
  if (ipBlock === undefined) {
    return selects ? errors : [...errors, required(field, 'must specify a peer')];
  }
  errors.push(...validateIPBlock(ipBlock, `${field}.ipBlock`));
  if (selects) errors.push(forbidden(field, 'may not specify both ipBlock and another peer'));
  return errors;
}

function validateIPBlock({ cidr = '', except = [] }: IPBlock, field: string): FieldError[] {
  if (cidr === '') return [required(`${field}.cidr`)];
  const errors = validateCIDR(cidr, `${field}.cidr`);
  const outer = parseBlock(cidr);
  if (outer === undefined) return errors;
  const inside = except.flatMap((text, index) => {
    const at = `${field}.except[${index}]`;
    const inner = parseBlock(text);
    const odd = validateCIDR(text, at);
    if (inner === undefined || isStrictlyInside(inner, outer)) return odd;
    return [...odd, invalid(at, text, 'must be a strict subset of `cidr`')];
  });
  return [...errors, ...inside];
}

function blockWarnings({ spec }: NetworkPolicy): readonly string[] {
  const ofPeers = (peers: readonly NetworkPolicyPeer[] | undefined, field: string): string[] =>
    (peers ?? []).flatMap(({ ipBlock }, index) => {
      const at = `${field}[${index}].ipBlock`;
      if (ipBlock === undefined) return [];
      const except = (ipBlock.except ?? []).flatMap((cidr, exceptIndex) =>
        cidrWarnings(cidr, `${at}.except[${exceptIndex}]`),
      );
      return [...cidrWarnings(ipBlock.cidr, `${at}.cidr`), ...except];
    });
  const { ingress = [], egress = [] } = spec ?? {};
  return [
    ...ingress.flatMap((rule, index) => ofPeers(rule.from, `spec.ingress[${index}].from`)),
    ...egress.flatMap((rule, index) => ofPeers(rule.to, `spec.egress[${index}].to`)),
  ];
}
