/**
 * The annotation in which kubectl keeps what it applied from the client. When kubectl applies on
 * the server, under its usual name, to an object that has it, it is brought up to date, so that
 * going back to the client finds the right starting point. Called by `apply.ts`.
 */
import type { KubeObject } from '#api/object.ts';
import { isMembers, type Members } from '#kit/members.ts';

export const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

/** The object with the configuration in its annotation, where it has one. */
export function withLastApplied(object: KubeObject, configuration: Members): KubeObject {
  const { annotations = {} } = object.metadata;
  if ((annotations[lastAppliedAnnotation] ?? '') === '') return object;
  const text = `${goJson(withoutAnnotation(configuration))}\n`;
  const next = { ...annotations, [lastAppliedAnnotation]: text };
  return { ...object, metadata: { ...object.metadata, annotations: next } };
}

function withoutAnnotation(configuration: Members): Members {
  const { metadata } = configuration;
  if (!isMembers(metadata) || !isMembers(metadata['annotations'])) return configuration;
  const { [lastAppliedAnnotation]: _own, ...annotations } = metadata['annotations'];
  return { ...configuration, metadata: { ...metadata, annotations } };
}

/** JSON as Go writes maps: names in order, and nothing that HTML would take for a tag. */
function goJson(value: unknown): string {
  const text = JSON.stringify(value, (_name, member: unknown) =>
    isMembers(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
  return text.replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
