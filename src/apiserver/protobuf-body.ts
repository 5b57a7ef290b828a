/**
 * Bodies in `application/vnd.kubernetes.protobuf` → the JSON that they mean.
 *
 * Generated clients (and so `kubectl create …`) send their objects this way and accept JSON in
 * return. An envelope names the kind; inside, fields are numbers, whose names and types come from
 * upstream's published tables. What Go writes as an embedded struct is lifted into its holder;
 * times, quantities and the like take their JSON spelling. Go also writes every field that is no
 * pointer, empty or not, so zero values are dropped unless the field is one where zero is a wish.
 */

import { type ApiError, badRequest } from '#api/errors.ts';
import type { Definitions } from '#api/schema.ts';
import { formatMicroTime, formatTime } from '#kit/clock.ts';
import { Reader } from '#kit/protobuf-wire.ts';
import { openProtobufFacts, type ProtobufFacts } from '#resources/protobuf-facts.ts';

type JsonObject = Record<string, unknown>;

/** `k8s`, then a zero byte. */
export const magic = Buffer.from([0x6b, 0x38, 0x73, 0x00]);
export const metaPackage = 'k8s.io.apimachinery.pkg.apis.meta.v1';
const depthMax = 100;

/** Numbers and booleans where zero and absent differ (pointers in Go). */
const zeroCounts: ReadonlySet<string> = new Set([
  'activeDeadlineSeconds',
  'allocateLoadBalancerNodePorts',
  'allowPrivilegeEscalation',
  'allowVolumeExpansion',
  'attachRequired',
  'automountServiceAccountToken',
  'averageUtilization',
  'backoffLimit',
  'backoffLimitPerIndex',
  'bindsToNode',
  'blockOwnerDeletion',
  'borrowingLimitPercent',
  'collisionCount',
  'completions',
  'controller',
  'defaultMode',
  'deletionGracePeriodSeconds',
  'enableServiceLinks',
  'endPort',
  'expirationSeconds',
  'failedJobsHistoryLimit',
  'fsGroup',
  'gracePeriodSeconds',
  'hostProcess',
  'hostUsers',
  'immutable',
  'leaseDurationSeconds',
  'leaseTransitions',
  'lendablePercent',
  'limitBytes',
  'lun',
  'manualSelector',
  'maxExpirationSeconds',
  'maxFailedIndexes',
  'maxReplicas',
  'maxSurge',
  'maxUnavailable',
  'minAvailable',
  'minDomains',
  'minReplicas',
  'mode',
  'nominalConcurrencyShares',
  'optional',
  'orphanDependents',
  'parallelism',
  'partition',
  'perDeviceNodeSelection',
  'podInfoOnMount',
  'priority',
  'privileged',
  'progressDeadlineSeconds',
  'readOnlyRootFilesystem',
  'ready',
  'replicas',
  'requiresRepublish',
  'revisionHistoryLimit',
  'runAsGroup',
  'runAsNonRoot',
  'runAsUser',
  'seLinuxMount',
  'serviceAccountTokenInSecrets',
  'serving',
  'setHostnameAsFQDN',
  'shareProcessNamespace',
  'sinceSeconds',
  'stabilizationWindowSeconds',
  'started',
  'startingDeadlineSeconds',
  'storageCapacity',
  'succeededCount',
  'successfulJobsHistoryLimit',
  'suspend',
  'tailLines',
  'targetCPUUtilizationPercentage',
  'terminating',
  'terminatingReplicas',
  'terminationGracePeriodSeconds',
  'tolerationSeconds',
  'ttlSecondsAfterFinished',
]);

export class ProtobufBodies {
  readonly #definitions: Definitions;
  #facts: ProtobufFacts | undefined;

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  /** The object of a body, with the kind and version that its envelope names. */
  decode(bytes: Uint8Array, refuse: (why: string) => ApiError = badRequest): unknown {
    if (!Buffer.from(bytes.subarray(0, magic.length)).equals(magic)) {
      const expected = `expected prefix [${[...magic].join(' ')}]`;
      throw refuse(`provided data does not appear to be a protobuf message, ${expected}`);
    }
    this.#facts ??= openProtobufFacts();
    try {
      return new Decoding(this.#facts, this.#definitions).envelope(bytes.subarray(magic.length));
    } catch (error) {
      if (error instanceof RangeError)
        throw badRequest(`the protobuf body is broken: ${error.message}`);
      throw error;
    }
  }
}

class Decoding {
  readonly #facts: ProtobufFacts;
  readonly #definitions: Definitions;

  constructor(facts: ProtobufFacts, definitions: Definitions) {
    this.#facts = facts;
    this.#definitions = definitions;
  }

  envelope(bytes: Uint8Array): JsonObject {
    let apiVersion = '';
    let kind = '';
    let raw: Uint8Array = new Uint8Array(0);
    const reader = new Reader(bytes);
    while (reader.offset < bytes.length) {
      const tag = reader.whole();
      if (tag === 10) {
        const { apiVersion: version, kind: name } = this.#message(
          reader,
          'k8s.io.apimachinery.pkg.runtime',
          'TypeMeta',
          0,
          reader.block(),
        );
        apiVersion = String(version ?? '');
        kind = String(name ?? '');
      } else if (tag === 18) raw = reader.bytes();
      else reader.skip(tag & 7);
    }
    const object = this.#message(new Reader(raw), packageOf(apiVersion, kind), kind, 0, raw.length);
    return { kind, apiVersion, ...object };
  }

  #message(
    reader: Reader,
    packageName: string,
    name: string,
    depth: number,
    end: number,
  ): JsonObject {
    if (depth > depthMax) throw new RangeError('the message is nested too deeply');
    const fields = this.#facts.package(packageName)?.[name];
    if (fields === undefined)
      throw badRequest(`no protobuf form of ${packageName}.${name} is known`);
    const byNumber = new Map(
      Object.entries(fields).map(([field, [number, type]]) => [number, { field, type }]),
    );
    const names = jsonNames(this.#definitions, packageName, name);
    const object: JsonObject = {};
    while (reader.offset < end) {
      const tag = reader.whole();
      const known = byNumber.get(Math.floor(tag / 8));
      if (known === undefined) {
        reader.skip(tag & 7);
        continue;
      }
      const { field, type } = known;
      this.#field(object, { field, type, packageName, depth, names }, reader, tag & 7);
    }
    return object;
  }

  #field(
    object: JsonObject,
    at: {
      readonly field: string;
      readonly type: string;
      readonly packageName: string;
      readonly depth: number;
      readonly names: (field: string) => string | undefined;
    },
    reader: Reader,
    wire: number,
  ): void {
    const { field, type, packageName, depth, names } = at;
    const key = names(field);
    if (type.startsWith('repeated ')) {
      const item = this.#value(reader, type.slice('repeated '.length), packageName, depth, wire);
      const list = object[key ?? field];
      if (Array.isArray(list)) list.push(item);
      else object[key ?? field] = [item];
      return;
    }
    const map = /^map<string,(.*)>$/.exec(type)?.[1];
    if (map !== undefined) {
      const entries = (object[key ?? field] ?? {}) as JsonObject;
      this.#mapEntry(entries, reader, map, packageName, depth);
      object[key ?? field] = entries;
      return;
    }
    const value = this.#value(reader, type, packageName, depth, wire);
    if (key === undefined) {
      if (value !== null && typeof value === 'object') Object.assign(object, value);
    } else if (!isEmpty(value, key)) object[key] = value;
  }

  #mapEntry(
    entries: JsonObject,
    reader: Reader,
    type: string,
    packageName: string,
    depth: number,
  ): void {
    const end = reader.block();
    let key = '';
    let value: unknown = type === 'string' || type === 'bytes' ? '' : undefined;
    while (reader.offset < end) {
      const tag = reader.whole();
      if (tag >> 3 === 1) key = reader.text();
      else value = this.#value(reader, type, packageName, depth, tag & 7);
    }
    entries[key] = value;
  }

  #value(reader: Reader, type: string, packageName: string, depth: number, wire: number): unknown {
    switch (type) {
      case 'string':
        return reader.text();
      case 'bool':
        return reader.whole() !== 0;
      case 'int32':
      case 'int64':
      case 'uint32':
      case 'uint64':
        return reader.whole();
      case 'double':
        return reader.double();
      case 'bytes':
        return Buffer.from(reader.bytes()).toString('base64');
      default: {
        if (wire !== 2) throw new RangeError(`a ${type} is not a block`);
        const end = reader.block();
        const dot = type.lastIndexOf('.');
        const owner = dot < 0 ? packageName : type.slice(1, dot);
        const name = type.slice(dot + 1);
        const value = this.#message(reader, owner, name, depth + 1, end);
        return spelled(`${owner}.${name}`, value);
      }
    }
  }
}

/** Where messages without a definition (those of legacy versions) differ from their JSON. */
const undefinedNames: Readonly<Record<string, string | undefined>> = {
  ingressRuleValue: undefined,
  aPIGroup: 'apiGroup',
};

/** Protobuf name → JSON name; undefined for a struct that is embedded. */
export function jsonNames(
  definitions: Definitions,
  packageName: string,
  name: string,
): (field: string) => string | undefined {
  const definition = `io.k8s.${packageName.slice('k8s.io.'.length)}.${name}`;
  const fields = definitions.get(definition)?.fields;
  if (fields === undefined) {
    return (field) => (field in undefinedNames ? undefinedNames[field] : field);
  }
  const byLower = new Map(Object.keys(fields).map((key) => [key.toLowerCase(), key]));
  return (field) => (Object.hasOwn(fields, field) ? field : byLower.get(field.toLowerCase()));
}

/** `apps/v1` → `k8s.io.api.apps.v1`; the options of the machinery are nobody's group. */
export function packageOf(apiVersion: string, kind: string): string {
  if (apiVersion.startsWith('meta.k8s.io/')) return metaPackage;
  if (kind === 'DeleteOptions' || kind === 'Status') return metaPackage;
  const [first = '', second] = apiVersion.split('/');
  const group = second === undefined ? 'core' : (first.split('.')[0] ?? '');
  return `k8s.io.api.${group === 'internal' ? 'apiserverinternal' : group}.${second ?? first}`;
}

/** Messages that JSON spells as something simpler. */
function spelled(name: string, value: JsonObject): unknown {
  switch (name) {
    case 'k8s.io.apimachinery.pkg.api.resource.Quantity':
      return value['string'] ?? '0';
    case `${metaPackage}.Time`:
    case `${metaPackage}.MicroTime`: {
      const { seconds, nanos = 0 } = value;
      if (seconds === undefined) return undefined;
      const ms = Number(seconds) * 1000 + Math.floor(Number(nanos) / 1e6);
      return name.endsWith('MicroTime') ? formatMicroTime(ms) : formatTime(ms);
    }
    case 'k8s.io.apimachinery.pkg.util.intstr.IntOrString':
      return value['type'] === 1 ? (value['strVal'] ?? '') : (value['intVal'] ?? 0);
    case 'k8s.io.apimachinery.pkg.runtime.RawExtension':
    case `${metaPackage}.FieldsV1`: {
      const raw = value['raw'] ?? value['Raw'];
      return raw === undefined
        ? undefined
        : JSON.parse(Buffer.from(String(raw), 'base64').toString());
    }
    case `${metaPackage}.Duration`:
      return `${Number(value['duration'] ?? 0) / 1e9}s`;
    default: {
      const { items, ...rest } = value;
      const isList = name.endsWith('.ExtraValue') || name.endsWith('.Verbs');
      return isList && Object.keys(rest).length === 0 ? (items ?? []) : value;
    }
  }
}

function isEmpty(value: unknown, key: string): boolean {
  if (value === undefined || value === '') return true;
  return (value === 0 || value === false) && !zeroCounts.has(key);
}
