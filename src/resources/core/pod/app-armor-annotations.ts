/**
 * The annotations that named AppArmor profiles before there were fields
 * (`container.apparmor.security.beta.kubernetes.io/NAME`): what they may say, that they agree with
 * the fields, and that a new pod gets the fields from them. They never change. Pure; `pod.ts`,
 * `spec-validation.ts`, `update-validation.ts` and `warnings.ts` ask.
 */
import { type FieldError, forbidden, invalid } from '#api/field-error.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import type { AppArmorProfile, Container, Pod, PodSpec } from '#resources/types/core-v1.ts';

const prefix = 'container.apparmor.security.beta.kubernetes.io/';
const local = 'localhost/';

type Annotations = Readonly<Record<string, string>> | undefined;

/** Entries of AppArmor, by container name. */
function entriesOf(annotations: Annotations): readonly (readonly [string, string])[] {
  if (annotations === undefined) return [];
  return Object.entries(annotations).flatMap(([key, value]) =>
    key.startsWith(prefix) ? [[key.slice(prefix.length), value] as const] : [],
  );
}

function containersOf(spec: PodSpec): readonly (readonly [string, Container])[] {
  const lists = ['initContainers', 'containers', 'ephemeralContainers'] as const;
  return lists.flatMap((list) =>
    (spec[list] ?? []).map((container, index) => [`${list}[${index}]`, container] as const),
  );
}

/** `field`: of the metadata. */
export function validateAppArmorAnnotations(
  annotations: Annotations,
  spec: PodSpec,
  field: string,
): FieldError[] {
  const names = new Set(containersOf(spec).map(([, { name }]) => name));
  return entriesOf(annotations).flatMap(([name, profile]) => {
    const at = `${field}.annotations[${prefix}${name}]`;
    const known = ['', 'runtime/default', 'unconfined'];
    const errors = names.has(name) ? [] : [invalid(at, name, 'container not found')];
    if (known.includes(profile) || profile.startsWith(local)) return errors;
    const problem = `invalid AppArmor profile name: ${JSON.stringify(profile)}`;
    return [...errors, invalid(at, profile, problem)];
  });
}

/** Of a new pod: a field and an annotation about the same container say the same. */
export function validateAppArmorMatch({ metadata, spec }: Pod): FieldError[] {
  const said = new Map(entriesOf(metadata.annotations));
  if (said.size === 0 || spec === undefined || spec.os?.name === 'windows') return [];
  return containersOf(spec).flatMap(([at, { name, securityContext }]): FieldError[] => {
    const annotation = said.get(name);
    const profile = securityContext?.appArmorProfile ?? spec.securityContext?.appArmorProfile;
    if (annotation === undefined || profile === undefined) return [];
    const field = `spec.${at}.securityContext.appArmorProfile`;
    const wrongType = forbidden(
      `${field}.type`,
      'apparmor type in annotation and field must match',
    );
    const texts: Readonly<Record<string, string>> = {
      Unconfined: 'unconfined',
      RuntimeDefault: 'runtime/default',
    };
    if (profile.type !== 'Localhost') {
      const text = texts[profile.type];
      return text === undefined || text === annotation ? [] : [wrongType];
    }
    if (!annotation.startsWith(local)) return [wrongType];
    if (annotation.slice(local.length) === profile.localhostProfile) return [];
    const detail = 'apparmor profile in annotation and field must match';
    return [forbidden(`${field}.localhostProfile`, detail)];
  });
}

export function validateAppArmorUpdate(next: Annotations, old: Annotations): FieldError[] {
  const before = new Map(entriesOf(old));
  const after = new Map(entriesOf(next));
  const at = (name: string): string => `metadata.annotations[${prefix}${name}]`;
  const changed = [...before].filter(([name, value]) => after.get(name) !== value);
  const added = [...after.keys()].filter((name) => !before.has(name));
  return [
    ...changed.map(([name]) =>
      forbidden(at(name), 'may not remove or update AppArmor annotations'),
    ),
    ...added.map((name) => forbidden(at(name), 'may not add AppArmor annotations')),
  ];
}

/** Of annotations that stand alone; after `withAppArmorFields` that cannot be told for pods. */
export function appArmorWarnings(spec: PodSpec, annotations: Annotations, at: string): string[] {
  return entriesOf(annotations).flatMap(([name, annotation]) => {
    const own = containersOf(spec).find(([, container]) => container.name === name)?.[1];
    const shared = spec.securityContext?.appArmorProfile;
    const isSaid = own?.securityContext?.appArmorProfile !== undefined;
    if (own === undefined || (!isSaid && jsonEqual(profileOf(annotation), shared))) return [];
    const key = `${at}metadata.annotations[${prefix}${name}]`;
    return [`${key}: deprecated since v1.30; use the "appArmorProfile" field instead`];
  });
}

/** Undefined: it says nothing that a field could. */
function profileOf(annotation: string): AppArmorProfile | undefined {
  if (annotation === 'unconfined') return { type: 'Unconfined' };
  if (annotation === 'runtime/default') return { type: 'RuntimeDefault' };
  const localhostProfile = annotation.startsWith(local) ? annotation.slice(local.length) : '';
  return localhostProfile.trim() === '' ? undefined : { type: 'Localhost', localhostProfile };
}

/** A new pod with the fields that its annotations stand for. */
export function withAppArmorFields(spec: PodSpec, annotations: Annotations): PodSpec {
  const said = new Map(entriesOf(annotations));
  if (said.size === 0 || spec.os?.name === 'windows') return spec;
  const filled = <T extends Container>(container: T): T => {
    const { securityContext } = container;
    const annotation = said.get(container.name);
    if (annotation === undefined || securityContext?.appArmorProfile !== undefined) {
      return container;
    }
    const appArmorProfile = profileOf(annotation);
    const isShared = jsonEqual(appArmorProfile, spec.securityContext?.appArmorProfile);
    if (appArmorProfile === undefined || isShared) return container;
    return { ...container, securityContext: { ...securityContext, appArmorProfile } };
  };
  const { initContainers } = spec;
  return {
    ...spec,
    containers: spec.containers.map(filled),
    ...(initContainers === undefined ? {} : { initContainers: initContainers.map(filled) }),
  };
}
