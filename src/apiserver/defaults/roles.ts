/**
 * The roles and bindings that every cluster has from the start, in upstream's words: who the
 * components are and what they need. `roles.json` holds one a line, rules as
 * `verbs|groups|resources|names` (`-` is the core group) or `verbs|paths`.
 *
 * As upstream, what somebody added to one stays, what is missing comes back, and nothing is done to
 * what says `rbac.authorization.kubernetes.io/autoupdate: "false"`. `defaults.ts` writes what
 * `planRole` and `planBinding` give.
 */
import { readFileSync } from 'node:fs';
import type { KubeObject } from '#api/object.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  Subject,
} from '#resources/types/rbac-v1.ts';

/** One object that is to be there, and the plural of its kind. */
export interface DefaultObject {
  readonly plural: 'clusterroles' | 'clusterrolebindings' | 'roles' | 'rolebindings';
  readonly object: KubeObject;
}

export type Plan =
  | { readonly do: 'nothing' | 'replace' }
  | { readonly do: 'update'; readonly next: KubeObject };

const group = 'rbac.authorization.k8s.io';
const autoUpdate = 'rbac.authorization.kubernetes.io/autoupdate';
const gathering = (role: string): string => `rbac.authorization.k8s.io/aggregate-to-${role}`;

interface RoleLine {
  readonly name: string;
  readonly namespace?: string;
  /** The role that gathers this one's rules. */
  readonly into?: string;
  readonly gathers?: true;
  readonly rules?: readonly string[];
}

interface BindingLine {
  readonly name: string;
  readonly namespace?: string;
  readonly role: string;
  readonly subjects: readonly string[];
}

/** Which of its lists a line of the table is in → what it becomes. */
const sections = {
  clusterRoles: { plural: 'clusterroles', kind: 'ClusterRole' },
  clusterRoleBindings: { plural: 'clusterrolebindings', kind: 'ClusterRoleBinding' },
  roles: { plural: 'roles', kind: 'Role' },
  roleBindings: { plural: 'rolebindings', kind: 'RoleBinding' },
} as const;

/**
 * In the order in which they are made: roles before what binds them. A line is read when its turn
 * comes, so that a start holds one object at a time.
 */
export function* defaultRoles(): Generator<DefaultObject> {
  const text = readFileSync(new URL('roles.json', import.meta.url), 'utf8');
  let section: (typeof sections)[keyof typeof sections] = sections.clusterRoles;
  for (const line of text.split('\n')) {
    const [, name] = /^"(\w+)": \[$/.exec(line) ?? [];
    // The names of the lists are those of the sections; a test reads them all.
    if (name !== undefined) section = sections[name as keyof typeof sections];
    if (!line.startsWith('{"')) continue;
    const { plural, kind } = section;
    // Written by hand and proven by a test.
    const read = JSON.parse(line.replace(/,$/, '')) as RoleLine & BindingLine;
    const isRole = kind === 'ClusterRole' || kind === 'Role';
    yield { plural, object: isRole ? roleOf(kind, read) : bindingOf(kind, read) };
  }
}

function metadataOf({ name, namespace }: RoleLine | BindingLine, more: object = {}) {
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...more },
    annotations: { [autoUpdate]: 'true' },
  };
}

function roleOf(kind: 'Role' | 'ClusterRole', line: RoleLine): KubeObject {
  const { name, into, gathers, rules } = line;
  const labels = into === undefined ? {} : { [gathering(into)]: 'true' };
  const selector = { matchLabels: { [gathering(name)]: 'true' } };
  const role = {
    kind,
    apiVersion: `${group}/v1`,
    metadata: metadataOf(line, labels),
    rules: rules?.map(parseRule) ?? null,
    ...(gathers === true ? { aggregationRule: { clusterRoleSelectors: [selector] } } : {}),
  };
  return role;
}

function parseRule(text: string): PolicyRule {
  const [verbs = [], second = [], resources, resourceNames] = text
    .split('|')
    .map((part) => part.split(','));
  if (resources === undefined) return { verbs, nonResourceURLs: second };
  return {
    verbs,
    apiGroups: second.map((name) => (name === '-' ? '' : name)),
    resources,
    ...(resourceNames === undefined ? {} : { resourceNames }),
  };
}

function bindingOf(kind: 'RoleBinding' | 'ClusterRoleBinding', line: BindingLine): KubeObject {
  const [roleKind = '', ...roleName] = line.role.split('/');
  const subjects = line.subjects.map(parseSubject);
  const binding = {
    kind,
    apiVersion: `${group}/v1`,
    metadata: metadataOf(line),
    ...(subjects.length === 0 ? {} : { subjects }),
    roleRef: { apiGroup: group, kind: roleKind, name: roleName.join('/') },
  };
  return binding;
}

/** `Group/NAME`, `User/NAME`, `ServiceAccount/NAMESPACE/NAME`. */
function parseSubject(text: string): Subject {
  const [kind = '', first = '', second = ''] = text.split('/');
  if (kind === 'ServiceAccount') return { kind, name: second, namespace: first };
  return { kind, apiGroup: group, name: first };
}

/** What is to be done about a role that is there. */
export function planRole(stored: KubeObject, wanted: KubeObject): Plan {
  if (stored.metadata.annotations?.[autoUpdate] === 'false') return { do: 'nothing' };
  // Both are of the kinds of this file.
  const [is, shall] = [stored as ClusterRole & Role, wanted as ClusterRole & Role];
  const { aggregationRule: gathered, ...own } = is;
  const missing = missingRules(is.rules ?? [], shall.rules ?? []);
  const known = gathered?.clusterRoleSelectors ?? [];
  const selectors = (shall.aggregationRule?.clusterRoleSelectors ?? []).filter(
    (selector) => !known.some((each) => jsonEqual(each, selector)),
  );
  const next = {
    ...own,
    metadata: withDefaults(stored, wanted),
    ...(missing.length === 0 ? {} : { rules: [...(is.rules ?? []), ...missing] }),
    ...(shall.aggregationRule === undefined
      ? {}
      : { aggregationRule: { ...gathered, clusterRoleSelectors: [...known, ...selectors] } }),
  } as KubeObject;
  return jsonEqual(next, stored) ? { do: 'nothing' } : { do: 'update', next };
}

/** What is to be done about a binding; what it binds to cannot be changed, so it is made anew. */
export function planBinding(stored: KubeObject, wanted: KubeObject): Plan {
  if (stored.metadata.annotations?.[autoUpdate] === 'false') return { do: 'nothing' };
  // Both are of the kinds of this file.
  const [is, shall] = [stored as ClusterRoleBinding, wanted as ClusterRoleBinding];
  if (!jsonEqual(is.roleRef, shall.roleRef)) return { do: 'replace' };
  const known = is.subjects ?? [];
  const missing = (shall.subjects ?? []).filter(
    (subject) => !known.some((each) => jsonEqual(each, subject)),
  );
  const next = {
    ...is,
    metadata: withDefaults(stored, wanted),
    ...(missing.length === 0 ? {} : { subjects: [...known, ...missing] }),
  } as KubeObject;
  return jsonEqual(next, stored) ? { do: 'nothing' } : { do: 'update', next };
}

/** What somebody wrote over a label or an annotation stays. */
function withDefaults(stored: KubeObject, wanted: KubeObject): KubeObject['metadata'] {
  const { metadata } = stored;
  return {
    ...metadata,
    labels: { ...wanted.metadata.labels, ...metadata.labels },
    annotations: { ...wanted.metadata.annotations, ...metadata.annotations },
  };
}

/** Rules of `wanted` that no rule of `stored` allows, each for one verb and one thing. */
function missingRules(
  stored: readonly PolicyRule[],
  wanted: readonly PolicyRule[],
): readonly PolicyRule[] {
  return wanted.flatMap(single).filter((one) => !stored.some((rule) => allows(rule, one)));
}

function single(rule: PolicyRule): readonly PolicyRule[] {
  const { verbs, apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule;
  const names = resourceNames.length === 0 ? [[]] : resourceNames.map((name) => [name]);
  return verbs.flatMap((verb): readonly PolicyRule[] => [
    ...apiGroups.flatMap((apiGroup) =>
      resources.flatMap((resource) =>
        names.map((name) => ({
          verbs: [verb],
          apiGroups: [apiGroup],
          resources: [resource],
          ...(name.length === 0 ? {} : { resourceNames: name }),
        })),
      ),
    ),
    ...nonResourceURLs.map((url) => ({ verbs: [verb], nonResourceURLs: [url] })),
  ]);
}

/** `one` speaks of one verb and one thing. */
function allows(rule: PolicyRule, one: PolicyRule): boolean {
  const has = (list: readonly string[] = [], [wanted = '']: readonly string[] = []): boolean =>
    list.includes('*') || list.includes(wanted);
  if (!has(rule.verbs, one.verbs)) return false;
  if (one.nonResourceURLs !== undefined) {
    const [url = ''] = one.nonResourceURLs;
    return (rule.nonResourceURLs ?? []).some(
      (path) => path === url || (path.endsWith('*') && url.startsWith(path.slice(0, -1))),
    );
  }
  const [resource = ''] = one.resources ?? [];
  const anyOfSort = `*/${resource.split('/')[1] ?? ''}`;
  const isNamed =
    has(rule.resources, one.resources) || rule.resources?.includes(anyOfSort) === true;
  if (!has(rule.apiGroups, one.apiGroups) || !isNamed) return false;
  const { resourceNames = [] } = rule;
  if (resourceNames.length === 0) return true;
  return one.resourceNames !== undefined && has(resourceNames, one.resourceNames);
}
