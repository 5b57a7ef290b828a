/**
 * `pods/NAME/ephemeralcontainers`: containers for looking into a pod that runs. They may be added,
 * and then neither changed nor taken away; nothing else of the pod changes on this way.
 */
import { type FieldError, forbidden } from '#api/field-error.ts';
import type { PartialUpdate } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { isMirror } from './mirror.ts';

const field = 'spec.ephemeralContainers';

export const ephemeralContainersUpdate: PartialUpdate<Pod> = {
  prepare: (next, old) =>
    old.spec === undefined
      ? old
      : { ...old, spec: { ...old.spec, ephemeralContainers: next.spec?.ephemeralContainers } },
  validate: (next, old) => {
    const errors: FieldError[] = [];
    if (isMirror(old)) {
      errors.push(forbidden('', 'static pods do not support ephemeral containers'));
    }
    const now = next.spec?.ephemeralContainers ?? [];
    for (const before of old.spec?.ephemeralContainers ?? []) {
      const index = now.findIndex(({ name }) => name === before.name);
      const found = now[index];
      const name = JSON.stringify(before.name);
      if (found === undefined) {
        errors.push(forbidden(field, `existing ephemeral containers ${name} may not be removed\n`));
      } else if (!jsonEqual(found, before)) {
        const detail = `existing ephemeral containers ${name} may not be changed\n`;
        errors.push(forbidden(`${field}[${index}]`, detail));
      }
    }
    return errors;
  },
};
