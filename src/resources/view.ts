/**
 * A served version whose shape is the hub's own: most kinds have only this one.
 * Kinds with older versions add views with conversions beside it.
 */
import type { KubeObject } from '#api/object.ts';
import type { ResourceView, WriteContext } from '#api/resource.ts';

export function hubView<Hub extends KubeObject>(options: {
  readonly group: string;
  readonly version: string;
  readonly definition: string;
  readonly setDefaults?: (object: Hub, context: WriteContext) => Hub;
}): ResourceView<Hub> {
  const { setDefaults } = options;
  return {
    group: options.group,
    version: options.version,
    definition: options.definition,
    schema: { ref: options.definition },
    // The view's schema has checked that the object is a hub.
    setDefaults: (object, context) =>
      setDefaults === undefined ? object : setDefaults(object as Hub, context),
  };
}
