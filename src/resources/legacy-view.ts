/**
 * An old version of a kind whose fields have stayed what they were: only the version's name
 * differs. The definition of today's version serves both; `definitions.ts` finds it under the old
 * name (`sameShapes`). Kinds that changed their shape convert in a file of their own.
 */
import { formatGroupVersion, type KubeObject } from '#api/object.ts';
import type { ResourceView } from '#api/resource.ts';

export function sameShapeView<Hub extends KubeObject>(
  hub: ResourceView<Hub>,
  old: {
    readonly group?: string;
    readonly version: string;
    /** Default: today's definition with the version replaced. */
    readonly definition?: string;
    readonly setDefaults?: ResourceView<Hub>['setDefaults'];
  },
): ResourceView<Hub> {
  const { version, group = hub.group } = old;
  const apiVersion = formatGroupVersion({ group, version });
  const hubVersion = formatGroupVersion(hub);
  return {
    group,
    version,
    definition: old.definition ?? hub.definition.replace(`.${hub.version}.`, `.${version}.`),
    schema: { ref: hub.definition },
    legacy: true,
    setDefaults: old.setDefaults ?? hub.setDefaults,
    // The view's schema, which is the hub's, has checked the shape.
    toHub: (object) => ({ ...object, apiVersion: hubVersion }) as Hub,
    fromHub: (object) => ({ ...object, apiVersion }),
  };
}
