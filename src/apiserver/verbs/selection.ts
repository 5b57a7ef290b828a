/**
 * Label and field selectors of a list, watch or delete of many, as one question about an object,
 * and the parts of it (name, node) that narrow where to look.
 */
import type { Served } from '#api/catalog.ts';
import { badRequest } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';
import { type FieldSelector, parseFieldSelector, parseLabelSelector } from '#api/selectors.ts';
import type { ResourceInfo } from '../request.ts';
import type { Selection } from '../watch/watcher.ts';

export function readSelection(served: Served, info: ResourceInfo): Selection {
  const { resource } = served;
  const labelText = info.query.get('labelSelector') ?? '';
  const fieldText = info.query.get('fieldSelector') ?? '';
  const labels = labelText === '' ? undefined : parseLabelSelector(labelText);
  const fields = fieldText === '' ? undefined : parseFieldSelector(fieldText);
  if (fields !== undefined) checkFields(served, fields);
  const name = info.name !== '' ? info.name : equalTo(fields, 'metadata.name');
  const field = labels === undefined && fields === undefined ? undefined : fieldReader(resource);
  return {
    resource,
    namespace: info.namespace,
    name,
    nodeName: equalTo(fields, 'spec.nodeName'),
    matches:
      field === undefined
        ? undefined
        : (hub) => {
            if (labels !== undefined && !labels.matches(hub.metadata.labels)) return false;
            return fields === undefined || fields.matches((path) => field(hub, path));
          },
  };
}

function equalTo(fields: FieldSelector | undefined, field: string): string {
  const found = fields?.requirements.find(
    (requirement) => requirement.field === field && requirement.operator === '=',
  );
  return found?.value ?? '';
}

function fieldReader(resource: Resource): (hub: KubeObject, field: string) => string {
  const readers = resource.selectableFields ?? {};
  return (hub, field) => {
    if (field === 'metadata.name') return hub.metadata.name ?? '';
    if (field === 'metadata.namespace') return hub.metadata.namespace ?? '';
    return readers[field]?.(hub) ?? '';
  };
}

function checkFields({ resource }: Served, fields: FieldSelector): void {
  for (const { field } of fields.requirements) {
    if (field === 'metadata.name') continue;
    if (field === 'metadata.namespace') continue;
    if (resource.selectableFields?.[field] !== undefined) continue;
    if (resource.selectableFields !== undefined) {
      throw badRequest(`field label not supported: ${field}`);
    }
    throw badRequest(
      `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`,
    );
  }
}
