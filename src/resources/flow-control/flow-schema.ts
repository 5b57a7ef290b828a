/**
 * FlowSchema: which requests belong to which priority level. Stored and validated; the server does
 * not queue by it yet.
 */
import { type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { labelProblems, subdomainProblems } from '#api/names.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { changeMember, fillIn } from '../fill-in.ts';
import { statusAlone } from '../status-update.ts';
import { textColumn } from '../text-column.ts';
import type {
  FlowSchema,
  FlowSchemaSpec,
  PolicyRulesWithSubjects,
  Subject,
} from '../types/flowcontrol-v1.ts';
import { hubView } from '../view.ts';

const precedenceMax = 10_000;
const methods = ['ByNamespace', 'ByUser'];
const subjectKinds = ['Group', 'ServiceAccount', 'User'];

export function flowSchemaResource(): Resource {
  return defineResource<FlowSchema>({
    kind: 'FlowSchema',
    plural: 'flowschemas',
    singular: 'flowschema',
    shortNames: [],
    categories: [],
    namespaced: false,
    storagePrefix: 'flowschemas',
    metadataRechecked: 'whole',
    views: [
      hubView<FlowSchema>({
        group: 'flowcontrol.apiserver.k8s.io',
        version: 'v1',
        definition: 'io.k8s.api.flowcontrol.v1.FlowSchema',
        setDefaults: (schema) =>
          changeMember(schema, 'spec', (spec) => fillIn(spec, { matchingPrecedence: 1000 })),
      }),
    ],
    hasStatus: true,
    prepareForCreate: (schema) => ({ ...schema, status: {} }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: statusAlone,
    validate: validateFlowSchema,
    columns: [
      nameColumn(),
      textColumn({
        name: 'PriorityLevel',
        description: 'The level that its requests have.',
        cell: ({ spec }) => spec?.priorityLevelConfiguration.name ?? '',
      }),
      {
        name: 'MatchingPrecedence',
        type: 'string',
        description: 'Schemas with lower numbers are asked first.',
        priority: 0,
        cell: ({ spec }) => spec?.matchingPrecedence ?? 0,
      },
      textColumn({
        name: 'DistinguisherMethod',
        description: 'What tells flows apart.',
        cell: ({ spec }) => spec?.distinguisherMethod?.type ?? '<none>',
      }),
      ageColumn(),
      textColumn({
        name: 'MissingPL',
        description: 'Whether the level is missing.',
        cell: ({ status }) =>
          (status?.conditions ?? []).find(({ type }) => type === 'Dangling')?.status ?? '?',
      }),
    ],
  });
}

function validateFlowSchema({ spec }: FlowSchema): FieldError[] {
  const { matchingPrecedence = 0, distinguisherMethod, rules = [] } = spec ?? {};
  const errors: FieldError[] = [];
  const at = 'spec.matchingPrecedence';
  if (matchingPrecedence <= 0) {
    errors.push(invalid(at, matchingPrecedence, 'must be a positive value'));
  }
  if (matchingPrecedence > precedenceMax) {
    const detail = `must not be greater than ${precedenceMax}`;
    errors.push(invalid(at, matchingPrecedence, detail));
  }
  if (distinguisherMethod !== undefined && !methods.includes(distinguisherMethod.type)) {
    // Upstream shows the method as a whole.
    const shown = { Type: distinguisherMethod.type ?? '' };
    errors.push(notSupported('spec.distinguisherMethod.type', shown, methods));
  }
  errors.push(...validateLevel(spec));
  return [
    ...errors,
    ...rules.flatMap((rule, index) => validateRules(rule, `spec.rules[${index}]`)),
  ];
}

function validateLevel(spec: FlowSchemaSpec | undefined): FieldError[] {
  const name = spec?.priorityLevelConfiguration?.name ?? '';
  const at = 'spec.priorityLevelConfiguration.name';
  if (name === '') return [required(at, 'must reference a priority level')];
  return subdomainProblems(name).map((problem) => invalid(at, name, problem));
}

function validateRules(rule: PolicyRulesWithSubjects, field: string): FieldError[] {
  const { subjects, resourceRules = [], nonResourceRules = [] } = rule;
  const errors: FieldError[] = [];
  if (subjects.length === 0) {
    errors.push(required(`${field}.subjects`, 'subjects must contain at least one value'));
  }
  errors.push(
    ...subjects.flatMap((subject, index) =>
      validateSubject(subject, `${field}.subjects[${index}]`),
    ),
  );
  if (resourceRules.length + nonResourceRules.length === 0) {
    const detail = 'at least one of resourceRules and nonResourceRules has to be non-empty';
    errors.push(required(field, detail));
  }
  for (const [index, one] of resourceRules.entries()) {
    const at = `${field}.resourceRules[${index}]`;
    const { verbs, apiGroups, resources, namespaces = [], clusterScope = false } = one;
    errors.push(
      ...validateWords(verbs, 'verbs', `${at}.verbs`),
      ...validateWords(apiGroups, 'api groups', `${at}.apiGroups`, oneOf('api group')),
      ...validateWords(resources, 'resources', `${at}.resources`, oneOf('resource')),
    );
    if (namespaces.length === 0 && !clusterScope) {
      const detail =
        'resource rules that are not cluster scoped must supply at least one namespace';
      errors.push(required(`${at}.namespaces`, detail));
    }
  }
  for (const [index, one] of nonResourceRules.entries()) {
    const at = `${field}.nonResourceRules[${index}]`;
    errors.push(
      ...validateWords(one.verbs, 'verbs', `${at}.verbs`),
      ...validateWords(one.nonResourceURLs, 'nonResourceURLs', `${at}.nonResourceURLs`),
    );
  }
  return errors;
}

function oneOf(what: string): string {
  return `resource rules must supply at least one ${what}`;
}

/** Something, or everything; not both. */
function validateWords(
  words: readonly string[],
  what: string,
  field: string,
  missing = `${what} must contain at least one value`,
): FieldError[] {
  if (words.length === 0) return [required(field, missing)];
  if (words.length === 1 || !words.includes('*')) return [];
  return [invalid(field, words, `if '*' is present, must not specify other ${what}`)];
}

function validateSubject(subject: Subject, field: string): FieldError[] {
  const { kind, user, group, serviceAccount } = subject;
  const member = { User: user, Group: group, ServiceAccount: serviceAccount };
  const key = { User: 'user', Group: 'group', ServiceAccount: 'serviceAccount' };
  if (kind !== 'User' && kind !== 'Group' && kind !== 'ServiceAccount') {
    return [notSupported(`${field}.kind`, kind, subjectKinds)];
  }
  const at = `${field}.${key[kind]}`;
  const named = member[kind];
  if (named === undefined) {
    const detail = `${key[kind]} is required when subject kind is '${kind}'`;
    return [required(at, detail)];
  }
  const errors: FieldError[] = named.name === '' ? [required(`${at}.name`)] : [];
  if (kind !== 'ServiceAccount') return errors;
  const { name = '', namespace = '' } = serviceAccount ?? {};
  if (name !== '' && name !== '*') {
    errors.push(...subdomainProblems(name).map((text) => invalid(`${at}.name`, name, text)));
  }
  if (namespace === '') {
    const detail = 'must specify namespace for service account';
    return [...errors, required(`${at}.namespace`, detail)];
  }
  const problems = labelProblems(namespace);
  return [...errors, ...problems.map((text) => invalid(`${at}.namespace`, namespace, text))];
}
