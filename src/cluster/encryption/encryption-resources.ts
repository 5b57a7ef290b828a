/**
 * The names of resources in an `EncryptionConfiguration`: which are no names, and which stand in
 * each other's way within one entry. Words and order are upstream's.
 */
import { type FieldError, invalid } from '#api/field-error.ts';

/** Kept by the server beside its objects; there is nothing of them to ask for. */
const withoutApi = ['apiserveripinfo', 'serviceipallocations', 'servicenodeportallocations'];

interface Name {
  readonly resource: string;
  readonly group: string;
}

export function validateResources(field: string, names: readonly string[]): readonly FieldError[] {
  const each = names.flatMap((name, index) => {
    const detail = problemOf(name);
    return detail === undefined ? [] : [invalid(`${field}[${index}]`, name, detail)];
  });
  return [...overlaps(field, names), ...each];
}

function overlaps(field: string, names: readonly string[]): readonly FieldError[] {
  const problems: FieldError[] = [];
  const parsed = names.map(parse);
  const isPair = (judge: (one: Name, other: Name) => boolean): boolean =>
    parsed.some((one, index) => parsed.some((other, at) => at !== index && judge(one, other)));
  if (isPair(isSame)) {
    const detail = 'the same resource cannot be specified multiple times';
    problems.push(invalid(field, names, detail));
  }
  if (isPair((one, other) => !isSame(one, other) && overlap(one, other))) {
    const detail =
      "using overlapping resources such as 'secrets' and '*.' in the same resource list is not " +
      'allowed as they will be masked';
    problems.push(invalid(field, names, detail));
  }
  return problems;
}

function isSame(one: Name, other: Name): boolean {
  return one.resource === other.resource && one.group === other.group;
}

function overlap(one: Name, other: Name): boolean {
  if (one.resource === '*' && one.group === '*') return true;
  return one.group === other.group && (one.resource === '*' || other.resource === '*');
}

function problemOf(name: string): string | undefined {
  const { resource, group } = parse(name);
  if (name.toLowerCase() !== name) return 'resource name should not contain capital letters';
  if (name === '*') {
    return "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources";
  }
  if (withoutApi.includes(name))
    return 'resources which do not have REST API/s cannot be encrypted';
  if (group === 'events.k8s.io') {
    return (
      "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. " +
      "Use 'events' instead in the config file"
    );
  }
  if (group === 'extensions') {
    return "'extensions' group has been removed and cannot be used for encryption";
  }
  if (group === '*' && resource !== '*') {
    return 'encrypting the same resource across groups is not supported';
  }
  return undefined;
}

/** `deployments.apps` → deployments, apps. */
function parse(name: string): Name {
  const dot = name.indexOf('.');
  if (dot < 0) return { resource: name, group: '' };
  return { resource: name.slice(0, dot), group: name.slice(dot + 1) };
}
