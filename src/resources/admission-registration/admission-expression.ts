/**
 * Expressions of admission policies and of webhooks' conditions, compiled when they are written.
 *
 * They may name the object as it is and as it was, the request, its namespace, parameters where
 * the policy has some, who may do what (`authorizer`), and the policy's own variables, each after
 * it was defined. Nothing evaluates them yet; what cannot be compiled, or has a type that its place
 * does not take, is refused with upstream's words.
 *
 * Behaviour: kubernetes.io, "Validating Admission Policy".
 */
import { type FieldError, invalid } from '#api/field-error.ts';
import {
  CelError,
  type CelType,
  compile,
  type Environment,
  type Library,
  openEnvironment,
  parseType,
  structType,
  typeText,
} from '#cel';

/** What an expression may name besides object, request and namespace. */
export interface Names {
  readonly params: boolean;
  readonly authorizer: boolean;
  /** Absent: there is no `variables`. */
  readonly variables?: ReadonlyMap<string, CelType> | undefined;
}

const text = 'string';
const structs: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'kubernetes.GroupVersionKind': { group: text, version: text, kind: text },
  'kubernetes.GroupVersionResource': { group: text, version: text, resource: text },
  'kubernetes.UserInfo': {
    ...{ username: text, uid: text, groups: 'list(string)', extra: 'map(string, list(string))' },
  },
  'kubernetes.AdmissionRequest': {
    kind: 'kubernetes.GroupVersionKind',
    resource: 'kubernetes.GroupVersionResource',
    subResource: text,
    requestKind: 'kubernetes.GroupVersionKind',
    requestResource: 'kubernetes.GroupVersionResource',
    requestSubResource: text,
    name: text,
    namespace: text,
    operation: text,
    userInfo: 'kubernetes.UserInfo',
    dryRun: 'bool',
    options: 'dyn',
  },
  'kubernetes.NamespaceSpec': { finalizers: 'list(string)' },
  'kubernetes.NamespaceCondition': {
    ...{ status: text, type: text, lastTransitionTime: 'timestamp', message: text, reason: text },
  },
  'kubernetes.NamespaceStatus': {
    conditions: 'list(kubernetes.NamespaceCondition)',
    phase: text,
  },
  'kubernetes.NamespaceMetadata': {
    name: text,
    generateName: text,
    namespace: text,
    labels: 'map(string, string)',
    annotations: 'map(string, string)',
    UID: text,
    creationTimestamp: 'timestamp',
    deletionGracePeriodSeconds: 'int',
    deletionTimestamp: 'timestamp',
    generation: 'int',
    resourceVersion: text,
    finalizers: 'list(string)',
  },
  'kubernetes.Namespace': {
    metadata: 'kubernetes.NamespaceMetadata',
    spec: 'kubernetes.NamespaceSpec',
    status: 'kubernetes.NamespaceStatus',
  },
};

const authorizer = 'kubernetes.authorization.Authorizer';
const pathCheck = 'kubernetes.authorization.PathCheck';
const groupCheck = 'kubernetes.authorization.GroupCheck';
const resourceCheck = 'kubernetes.authorization.ResourceCheck';
const decision = 'kubernetes.authorization.Decision';
const variablesType = 'kubernetes.variables';

function notEvaluated(): never {
  throw new CelError('expressions of admission are not evaluated');
}

const authorizerLibrary: Library = Object.fromEntries(
  [
    `authorizer_path: ${authorizer}::path(string) -> ${pathCheck}`,
    `authorizer_group: ${authorizer}::group(string) -> ${groupCheck}`,
    `authorizer_serviceaccount: ${authorizer}::serviceAccount(string, string) -> ${authorizer}`,
    `groupcheck_resource: ${groupCheck}::resource(string) -> ${resourceCheck}`,
    `resourcecheck_subresource: ${resourceCheck}::subresource(string) -> ${resourceCheck}`,
    `resourcecheck_namespace: ${resourceCheck}::namespace(string) -> ${resourceCheck}`,
    `resourcecheck_name: ${resourceCheck}::name(string) -> ${resourceCheck}`,
    `resourcecheck_fieldselector: ${resourceCheck}::fieldSelector(string) -> ${resourceCheck}`,
    `resourcecheck_labelselector: ${resourceCheck}::labelSelector(string) -> ${resourceCheck}`,
    `pathcheck_check: ${pathCheck}::check(string) -> ${decision}`,
    `resourcecheck_check: ${resourceCheck}::check(string) -> ${decision}`,
    `decision_errored: ${decision}::errored() -> bool`,
    `decision_error: ${decision}::error() -> string`,
    `decision_allowed: ${decision}::allowed() -> bool`,
    `decision_reason: ${decision}::reason() -> string`,
  ].map((declaration) => [declaration, notEvaluated]),
);

/** Words of the language of expressions. */
export const reservedWords: ReadonlySet<string> = new Set(
  (
    'true false null in as break const continue else for function if import let loop package ' +
    'namespace return var void while'
  ).split(' '),
);

/** Types that an expression may have; none: any will do. */
export type Wanted = readonly ('bool' | 'string' | 'null')[];

export type CompiledExpression =
  | { readonly ok: true; readonly type: CelType }
  | { readonly ok: false; readonly problem: string };

/** What is known of the kinds at hand, where that is asked. */
export interface ObjectTypes {
  /** Of `object` and `oldObject`; undefined: anything. */
  readonly object: CelType | undefined;
  readonly params: CelType | undefined;
  readonly structs: Readonly<Record<string, Readonly<Record<string, CelType>>>>;
}

const untyped: ObjectTypes = { object: undefined, params: undefined, structs: {} };

export function admissionEnvironment(
  { params, authorizer: authorizes, variables }: Names,
  types: ObjectTypes = untyped,
): Environment {
  const dyn = parseType('dyn');
  const { object = dyn } = types;
  return openEnvironment({
    variables: {
      object,
      oldObject: object,
      namespaceObject: structType('kubernetes.Namespace'),
      request: structType('kubernetes.AdmissionRequest'),
      ...(params ? { params: types.params ?? dyn } : {}),
      ...(authorizes
        ? {
            authorizer: structType(authorizer),
            'authorizer.requestResource': structType(resourceCheck),
          }
        : {}),
      ...(variables === undefined ? {} : { variables: structType(variablesType) }),
    },
    structs: {
      ...Object.fromEntries(
        Object.entries(structs).map(([name, fields]) => [
          name,
          Object.fromEntries(
            Object.entries(fields).map(([field, type]) => [field, parseType(type)]),
          ),
        ]),
      ),
      ...types.structs,
      ...(variables === undefined ? {} : { [variablesType]: Object.fromEntries(variables) }),
    },
    ...(authorizes ? { library: authorizerLibrary } : {}),
  });
}

export function compileAdmissionExpression(
  expression: string,
  names: Names,
  wanted: Wanted,
): CompiledExpression {
  const compiled = compile(expression, admissionEnvironment(names));
  if (!compiled.ok) {
    const stage = compiled.at === 'compile' ? 'compilation' : 'program instantiation';
    return { ok: false, problem: `${stage} failed: ${compiled.error}` };
  }
  const { type } = compiled.program;
  if (wanted.length === 0 || wanted.some((kind) => kind === type.kind)) return { ok: true, type };
  const kinds = wanted.map((kind) => (kind === 'null' ? 'null_type' : kind));
  const what = kinds.length === 1 ? kinds[0] : `one of [${kinds.join(' ')}]`;
  return { ok: false, problem: `must evaluate to ${what} but got ${typeText(type)}` };
}

/** Nothing where it compiles; said about `shown`, which is what was written. */
export function expressionErrors(
  expression: string,
  field: string,
  {
    names,
    wanted,
    shown = expression,
  }: { readonly names: Names; readonly wanted: Wanted; readonly shown?: string },
): FieldError[] {
  const compiled = compileAdmissionExpression(expression, names, wanted);
  return compiled.ok ? [] : [invalid(field, shown, compiled.problem)];
}
