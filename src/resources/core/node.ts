/**
 * Node: a machine that runs pods. Kubelets write its status; people label, taint and cordon it.
 */
import { duplicate, type FieldError, forbidden, invalid, required } from '#api/field-error.ts';
import { labelValueProblems, qualifiedNameProblems } from '#api/names.ts';
import { compareQuantities, quantityMilliValue } from '#api/quantity.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { inThousandths } from '../amounts.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { isExtendedResource } from '../extended-resource.ts';
import { changeMember, without } from '../fill-in.ts';
import { cidrWarnings, validateCIDR } from '../ip-syntax.ts';
import type { Node, Taint } from '../types/core-v1.ts';
import { hubView } from '../view.ts';
import { validateTaintEffect } from './pod/scheduling-validation.ts';

const rolePrefix = 'node-role.kubernetes.io/';
const oldRoleLabel = 'kubernetes.io/role';

export function nodeResource(): Resource {
  return defineResource<Node>({
    kind: 'Node',
    plural: 'nodes',
    singular: 'node',
    shortNames: ['no'],
    categories: [],
    namespaced: false,
    storagePrefix: 'minions',
    views: [
      hubView<Node>({
        group: '',
        version: 'v1',
        definition: 'io.k8s.api.core.v1.Node',
        setDefaults: setNodeDefaults,
      }),
    ],
    hasStatus: true,
    specChanged: () => false,
    // A node says what it is when it registers.
    prepareForCreate: withoutConfigSource,
    prepareForUpdate: (next, old) => {
      const node = { ...next, status: old.status };
      return old.spec?.configSource === undefined ? withoutConfigSource(node) : node;
    },
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    validate: validateNode,
    validateUpdate: validateNodeUpdate,
    validateStatusUpdate: validateNodeUpdate,
    warnings: nodeWarnings,
    columns: nodeColumns,
    selectableFields: {
      'spec.unschedulable': ({ spec }) => String(spec?.unschedulable ?? false),
    },
  });
}

/** Of a spec that is written, not of what others report in the status. */
function nodeWarnings({ spec }: Node, old: Node | undefined): readonly string[] {
  if (old !== undefined && jsonEqual(spec, old.spec)) return [];
  const warnings: string[] = [];
  if (spec?.configSource !== undefined) {
    warnings.push('spec.configSource: the feature is no longer supported');
  }
  if ((spec?.externalID ?? '') !== '') {
    warnings.push('spec.externalID: this field is deprecated, and is unused by Kubernetes');
  }
  for (const [index, cidr] of (spec?.podCIDRs ?? []).entries()) {
    warnings.push(...cidrWarnings(cidr, `spec.podCIDRs[${index}]`));
  }
  return warnings;
}

/** Where a kubelet's configuration once came from. */
function withoutConfigSource(node: Node): Node {
  return changeMember(node, 'spec', (spec) => without(spec, 'configSource'));
}

/** A node that says nothing of what pods may use offers all that it has. */
function setNodeDefaults(given: Node): Node {
  const node = changeMember(withPodCIDRs(given), 'status', (of) =>
    changeMember(changeMember(of, 'capacity', inThousandths), 'allocatable', inThousandths),
  );
  const { status } = node;
  if (status?.capacity === undefined || status.allocatable !== undefined) return node;
  return { ...node, status: { ...status, allocatable: status.capacity } };
}

/** The list of ranges begins with the one range of old clients, and each fills the other in. */
function withPodCIDRs(node: Node): Node {
  const { podCIDR = '', podCIDRs = [] } = node.spec ?? {};
  const [first = ''] = podCIDRs;
  if (podCIDR === first) return node;
  if (podCIDR !== '' && first !== '')
    return { ...node, spec: { ...node.spec, podCIDRs: [podCIDR] } };
  if (first === '') return { ...node, spec: { ...node.spec, podCIDRs: [podCIDR] } };
  return podCIDR === '' ? { ...node, spec: { ...node.spec, podCIDR: first } } : node;
}

function validateNode({ spec, status }: Node): FieldError[] {
  const errors = validateTaints(spec?.taints ?? [], 'metadata.taints');
  errors.push(...validateAmounts(status));
  const { podCIDRs = [] } = spec ?? {};
  const field = 'spec.podCIDRs';
  for (const [index, podCIDR] of podCIDRs.entries()) {
    errors.push(...validateCIDR(podCIDR, `${field}[${index}]`));
  }
  const families = new Set(podCIDRs.map((podCIDR) => podCIDR.includes(':')));
  if (podCIDRs.length > families.size) {
    const detail = 'may specify no more than one CIDR for each IP family';
    errors.push(invalid(field, podCIDRs, detail));
  }
  return errors;
}

function validateAmounts(status: Node['status']): FieldError[] {
  const errors: FieldError[] = [];
  for (const list of ['capacity', 'allocatable'] as const) {
    for (const [name, amount] of Object.entries(status?.[list] ?? {})) {
      const at = `status.${list}.${name}`;
      if (compareQuantities(amount, '0') < 0) {
        errors.push(invalid(at, amount, 'must be greater than or equal to 0'));
      }
      const counted = name === 'pods' || isExtendedResource(name);
      if (counted && quantityMilliValue(amount) % 1000 !== 0) {
        errors.push(invalid(at, amount, 'must be an integer'));
      }
    }
  }
  return errors;
}

function validateTaints(taints: readonly Taint[], field: string): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [index, taint] of taints.entries()) {
    const at = `${field}[${index}]`;
    for (const problem of qualifiedNameProblems(taint.key ?? '')) {
      errors.push(invalid(`${at}.key`, taint.key ?? '', problem));
    }
    const unfit = labelValueProblems(taint.value ?? '');
    if (unfit.length > 0) errors.push(invalid(`${at}.value`, taint.value, unfit.join(';')));
    errors.push(
      ...(taint.effect
        ? validateTaintEffect(taint.effect, `${at}.effect`)
        : [required(`${at}.effect`)]),
    );
    const identity = `${taint.key}:${taint.effect}`;
    if (seen.has(identity)) {
      errors.push({
        ...duplicate(at, shownTaint(taint)),
        detail: 'taints must be unique by key and effect pair',
      });
    }
    seen.add(identity);
  }
  return errors;
}

/** As upstream shows it: its internal type. */
function shownTaint({ key, value = '', effect, timeAdded }: Taint): object {
  return { Key: key, Value: value, Effect: effect, TimeAdded: timeAdded ?? null };
}

/** Much is looked at once more, and clients see each error twice. */
function validateNodeUpdate(next: Node, old: Node): FieldError[] {
  const errors = validateAmounts(next.status);
  const seen = new Set<string>();
  for (const [index, { type, address }] of (next.status?.addresses ?? []).entries()) {
    const identity = `${type} ${address}`;
    if (seen.has(identity)) {
      errors.push(duplicate(`status.addresses[${index}]`, { Type: type, Address: address }));
    }
    seen.add(identity);
  }
  const fixed = ['podCIDR', 'providerID'] as const;
  for (const key of fixed) {
    const before = old.spec?.[key];
    if (!before || next.spec?.[key] === before) continue;
    const detail =
      key === 'podCIDR'
        ? 'node updates may not change podCIDR except from "" to valid'
        : 'node updates may not change providerID except from "" to valid';
    errors.push(forbidden(`spec.${key === 'podCIDR' ? 'podCIDRs' : key}`, detail));
  }
  errors.push(...validateTaints(next.spec?.taints ?? [], 'metadata.taints'));
  return errors;
}

const nodeColumns = [
  nameColumn<Node>(),
  {
    name: 'Status',
    type: 'string',
    description: 'Whether the node is ready, and whether new pods may come.',
    priority: 0,
    cell: ({ spec, status }: Node) => {
      const ready = status?.conditions?.find(({ type }) => type === 'Ready');
      const words = [
        ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady',
      ];
      if (spec?.unschedulable === true) words.push('SchedulingDisabled');
      return words.join(',');
    },
  },
  {
    name: 'Roles',
    type: 'string',
    description: 'Roles, from the labels of the node.',
    priority: 0,
    cell: (node: Node) => rolesOf(node).join(',') || '<none>',
  },
  ageColumn<Node>(),
  {
    name: 'Version',
    type: 'string',
    description: 'Version of the kubelet.',
    priority: 0,
    cell: ({ status }: Node) => status?.nodeInfo?.kubeletVersion ?? '',
  },
  {
    name: 'Internal-IP',
    type: 'string',
    description: 'Address inside the cluster network.',
    priority: 1,
    cell: (node: Node) => addressOf(node, 'InternalIP'),
  },
  {
    name: 'External-IP',
    type: 'string',
    description: 'Address from outside.',
    priority: 1,
    cell: (node: Node) => addressOf(node, 'ExternalIP'),
  },
  {
    name: 'OS-Image',
    type: 'string',
    description: 'Operating system as it names itself.',
    priority: 1,
    cell: ({ status }: Node) => status?.nodeInfo?.osImage || '<unknown>',
  },
  {
    name: 'Kernel-Version',
    type: 'string',
    description: 'Version of the kernel.',
    priority: 1,
    cell: ({ status }: Node) => {
      const { kernelVersion = '', architecture = '' } = status?.nodeInfo ?? {};
      const kernel = kernelVersion === '' ? '<unknown>' : kernelVersion;
      return architecture === '' ? kernel : `${kernel} (${architecture})`;
    },
  },
  {
    name: 'Container-Runtime',
    type: 'string',
    description: 'Container runtime and its version.',
    priority: 1,
    cell: ({ status }: Node) => status?.nodeInfo?.containerRuntimeVersion || '<unknown>',
  },
] as const;

function rolesOf({ metadata }: Node): readonly string[] {
  const roles = new Set<string>();
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    if (key.startsWith(rolePrefix) && key.length > rolePrefix.length) {
      roles.add(key.slice(rolePrefix.length));
    } else if (key === oldRoleLabel && value !== '') {
      roles.add(value);
    }
  }
  return [...roles].sort();
}

function addressOf({ status }: Node, kind: string): string {
  return status?.addresses?.find(({ type }) => type === kind)?.address ?? '<none>';
}
