/**
 * `namespaces/NAME/finalize`: changes `spec.finalizers` and nothing else. When the last one goes
 * from a namespace that is being deleted, the namespace goes with it.
 */
import { badRequest } from '#api/errors.ts';
import type { Namespace } from '#resources/types/core-v1.ts';
import type { Parts } from '../parts.ts';
import { viewObject } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { readObject } from '../verbs/body.ts';
import { managerOf } from '../verbs/managed-fields.ts';
import { checkOptions, isDryRun } from '../verbs/options.ts';
import { changeObject } from '../verbs/update.ts';

export async function finalize(parts: Parts, call: Call): Promise<Answer> {
  const { served, info, identity } = call;
  checkOptions('UpdateOptions', info.query);
  const object = await readObject(parts, call);
  const given = object.metadata.name ?? info.name;
  if (given !== info.name) {
    throw badRequest(
      `the name of the object (${given}) does not match the name on the URL (${info.name})`,
    );
  }
  // Decoded along the schema of Namespace.
  const finalizers = (object as Namespace).spec?.finalizers ?? [];
  const { resourceVersion, uid } = object.metadata;
  const result = await changeObject(parts, {
    served,
    namespace: '',
    name: info.name,
    identity,
    subresource: 'finalize',
    dryRun: isDryRun(info.query.getAll('dryRun')),
    insists: (resourceVersion ?? '') !== '',
    manager: managerOf(call),
    next: (hub) => {
      const metadata = { ...hub.metadata, resourceVersion, uid: uid ?? hub.metadata.uid };
      const { spec } = hub as Namespace;
      return viewObject(served, { ...hub, metadata, spec: { ...spec, finalizers } });
    },
  });
  return result;
}
