/**
 * Event: something that happened to an object, kept for an hour. One storage, two views: core/v1
 * (the hub, as upstream stores it) and events.k8s.io/v1, whose fields have other names.
 */
import { type FieldError, invalid, required } from '#api/field-error.ts';
import { qualifiedNameProblems, subdomainProblems } from '#api/names.ts';
import type { GroupVersion, KubeObject } from '#api/object.ts';
import { validateObjectMeta, validateObjectMetaUpdate } from '#api/object-meta.ts';
import { defineResource, type Resource, type ResourceView } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageSince, timedColumn } from '../columns.ts';
import type { Event } from '../types/core-v1.ts';
import type { Event as NewEvent } from '../types/events-v1.ts';
import { hubView } from '../view.ts';

const ttlMs = 60 * 60 * 1000;
const wordBytesMax = 128;
const messageBytesMax = 1024;

export function eventResource(): Resource {
  return defineResource<Event>({
    kind: 'Event',
    plural: 'events',
    singular: 'event',
    shortNames: ['ev'],
    categories: [],
    namespaced: true,
    storagePrefix: 'events',
    metadataRechecked: 'never',
    views: [
      hubView({ group: '', version: 'v1', definition: 'io.k8s.api.core.v1.Event' }),
      newEventView(),
    ],
    hasStatus: false,
    specChanged: () => false,
    allowCreateOnUpdate: true,
    defaultPropagation: 'none',
    ttlMs,
    nameRule: 'pathSegment',
    validate: validateEvent,
    validateNew: validateNewEvent,
    validateUpdate: validateEventUpdate,
    columns: eventColumns,
    selectableFields: {
      'involvedObject.kind': ({ involvedObject }) => involvedObject.kind ?? '',
      'involvedObject.namespace': ({ involvedObject }) => involvedObject.namespace ?? '',
      'involvedObject.name': ({ involvedObject }) => involvedObject.name ?? '',
      'involvedObject.uid': ({ involvedObject }) => involvedObject.uid ?? '',
      'involvedObject.apiVersion': ({ involvedObject }) => involvedObject.apiVersion ?? '',
      'involvedObject.resourceVersion': ({ involvedObject }) =>
        involvedObject.resourceVersion ?? '',
      'involvedObject.fieldPath': ({ involvedObject }) => involvedObject.fieldPath ?? '',
      'regarding.kind': ({ involvedObject }) => involvedObject.kind ?? '',
      'regarding.namespace': ({ involvedObject }) => involvedObject.namespace ?? '',
      'regarding.name': ({ involvedObject }) => involvedObject.name ?? '',
      'regarding.uid': ({ involvedObject }) => involvedObject.uid ?? '',
      'regarding.apiVersion': ({ involvedObject }) => involvedObject.apiVersion ?? '',
      'regarding.resourceVersion': ({ involvedObject }) => involvedObject.resourceVersion ?? '',
      'regarding.fieldPath': ({ involvedObject }) => involvedObject.fieldPath ?? '',
      reason: ({ reason }) => reason ?? '',
      reportingComponent: ({ reportingComponent }) => reportingComponent ?? '',
      reportingController: ({ reportingComponent }) => reportingComponent ?? '',
      source: ({ source, reportingComponent }) => source?.component || (reportingComponent ?? ''),
      type: ({ type }) => type ?? '',
    },
  });
}

function newEventView(): ResourceView<Event> {
  const definition = 'io.k8s.api.events.v1.Event';
  return {
    group: 'events.k8s.io',
    version: 'v1',
    definition,
    schema: { ref: definition },
    setDefaults: (object) => object,
    // The view's schema has checked the shape.
    toHub: (object) => toCoreEvent(object as NewEvent),
    fromHub: fromCoreEvent,
  };
}

function toCoreEvent(event: NewEvent): Event {
  const {
    regarding,
    note,
    reportingController,
    deprecatedCount,
    deprecatedFirstTimestamp,
    deprecatedLastTimestamp,
    deprecatedSource,
    ...same
  } = event;
  return {
    ...same,
    apiVersion: 'v1',
    involvedObject: regarding ?? {},
    message: note,
    reportingComponent: reportingController,
    count: deprecatedCount,
    firstTimestamp: deprecatedFirstTimestamp,
    lastTimestamp: deprecatedLastTimestamp,
    source: deprecatedSource,
  };
}

function fromCoreEvent(event: Event): KubeObject {
  const {
    involvedObject,
    message,
    reportingComponent,
    count,
    firstTimestamp,
    lastTimestamp,
    source,
    ...same
  } = event;
  return {
    ...same,
    apiVersion: 'events.k8s.io/v1',
    regarding: involvedObject,
    note: message,
    reportingController: reportingComponent,
    deprecatedCount: count,
    deprecatedFirstTimestamp: firstTimestamp,
    deprecatedLastTimestamp: lastTimestamp,
    deprecatedSource: source,
  } as KubeObject;
}

const coreVersion: GroupVersion = { group: '', version: 'v1' };
const legacy = coreVersion.group;

function validateEvent(event: Event, { group } = coreVersion): FieldError[] {
  const { metadata, involvedObject } = event;
  const namespace = metadata.namespace ?? '';
  const about = involvedObject.namespace ?? '';
  const errors: FieldError[] = [];
  const mismatch = invalid('involvedObject.namespace', about, 'does not match event.namespace');
  if (!event.eventTime) {
    const agrees = about === '' ? namespace === 'default' || namespace === '' : about === namespace;
    if (!agrees) errors.push(mismatch);
  } else {
    if (about === '' && !['default', 'kube-system'].includes(namespace)) errors.push(mismatch);
    errors.push(...validateTimed(event, group));
  }
  for (const problem of subdomainProblems(namespace)) {
    errors.push(invalid('namespace', namespace, problem));
  }
  return errors;
}

/** An event with `eventTime` was written by today's recorders, which say more. */
function validateTimed(event: Event, group: string): FieldError[] {
  const errors: FieldError[] = [];
  const { reportingComponent = '', message = '' } = event;
  const reporter = group === legacy ? 'reportingComponent' : 'reportingController';
  if (reportingComponent === '') errors.push(required(reporter));
  for (const problem of qualifiedNameProblems(reportingComponent)) {
    errors.push(invalid(reporter, reportingComponent, problem));
  }
  for (const field of ['reportingInstance', 'action', 'reason'] as const) {
    const value = event[field] ?? '';
    if (value === '') errors.push(required(field));
    if (Buffer.byteLength(value) > wordBytesMax) {
      errors.push(invalid(field, '', `can have at most ${wordBytesMax} characters`));
    }
  }
  if (Buffer.byteLength(message) > messageBytesMax) {
    errors.push(invalid('message', '', `can have at most ${messageBytesMax} characters`));
  }
  return errors;
}

/** The newer group takes only what today's recorders write. */
function validateNewEvent(event: Event, { group }: GroupVersion): FieldError[] {
  if (group === legacy) return [];
  const { metadata, type = '', source = {} } = event;
  const errors = validateObjectMeta(metadata, { namespaced: true, nameRule: 'subdomain' });
  errors.push(...validateSeries(event));
  if (!event.eventTime) errors.push(required('eventTime'));
  if (type !== 'Normal' && type !== 'Warning') {
    errors.push(invalid('type', '', `has invalid value: ${type}`));
  }
  const old = {
    firstTimestamp: event.firstTimestamp,
    lastTimestamp: event.lastTimestamp,
    count: event.count,
    source: source?.component || source?.host,
  };
  for (const [field, value] of Object.entries(old)) {
    if (value) errors.push(invalid(field, '', 'needs to be unset'));
  }
  return errors;
}

function validateSeries({ series }: Event): FieldError[] {
  if (!series) return [];
  const { count = 0, lastObservedTime } = series;
  const few = count < 2 ? [invalid('series.count', '', 'should be at least 2')] : [];
  return lastObservedTime ? few : [...few, required('series.lastObservedTime')];
}

/** In the order in which upstream looks, which sees the reason twice. */
function validateEventUpdate(next: Event, old: Event, { group } = coreVersion): FieldError[] {
  if (group === legacy) return [];
  const errors = validateObjectMetaUpdate(next.metadata, old.metadata);
  if (!same(next.series, old.series)) errors.push(...validateSeries(next));
  const fixed = (field: string, value: unknown, before: unknown): void => {
    if (!same(value, before)) errors.push(invalid(field, value, 'field is immutable'));
  };
  fixed('involvedObject', next.involvedObject, old.involvedObject);
  fixed('reason', next.reason ?? '', old.reason ?? '');
  fixed('message', next.message ?? '', old.message ?? '');
  fixed('source', next.source ?? {}, old.source ?? {});
  fixed('firstTimestamp', next.firstTimestamp ?? null, old.firstTimestamp ?? null);
  fixed('lastTimestamp', next.lastTimestamp ?? null, old.lastTimestamp ?? null);
  fixed('count', next.count ?? 0, old.count ?? 0);
  fixed('reason', next.reason ?? '', old.reason ?? '');
  fixed('type', next.type ?? '', old.type ?? '');
  fixed('eventTime', next.eventTime ?? null, old.eventTime ?? null);
  fixed('action', next.action ?? '', old.action ?? '');
  fixed('related', next.related ?? null, old.related ?? null);
  fixed('reportingController', next.reportingComponent ?? '', old.reportingComponent ?? '');
  fixed('reportingInstance', next.reportingInstance ?? '', old.reportingInstance ?? '');
  return errors;
}

function same(one: unknown, other: unknown): boolean {
  return jsonEqual(one ?? null, other ?? null);
}

function firstSeen(event: Event): (nowMs: number) => string {
  return ageSince(event.firstTimestamp ?? event.eventTime);
}

function lastSeen(event: Event): (nowMs: number) => string {
  if (event.series !== undefined) return ageSince(event.series.lastObservedTime);
  return event.lastTimestamp ? ageSince(event.lastTimestamp) : firstSeen(event);
}

function sourceText({ source, reportingComponent, reportingInstance }: Event): string {
  const component = source?.component || reportingComponent || '';
  const instance = source?.host || reportingInstance || '';
  return instance === '' ? component : `${component}, ${instance}`;
}

function objectText({ involvedObject }: Event): string {
  const kind = (involvedObject.kind ?? '').toLowerCase();
  return involvedObject.name ? `${kind}/${involvedObject.name}` : kind;
}

const eventColumns = [
  timedColumn({
    name: 'Last Seen',
    type: 'string',
    description: 'Time since it happened last.',
    priority: 0,
    at: lastSeen,
  }),
  {
    name: 'Type',
    type: 'string',
    description: 'Normal or Warning.',
    priority: 0,
    cell: ({ type }: Event) => type ?? '',
  },
  {
    name: 'Reason',
    type: 'string',
    description: 'Why, in one word.',
    priority: 0,
    cell: ({ reason }: Event) => reason ?? '',
  },
  {
    name: 'Object',
    type: 'string',
    description: 'What it happened to.',
    priority: 0,
    cell: objectText,
  },
  {
    name: 'Subobject',
    type: 'string',
    description: 'Part of the object.',
    priority: 1,
    cell: ({ involvedObject }: Event) => involvedObject.fieldPath ?? '',
  },
  {
    name: 'Source',
    type: 'string',
    description: 'Who reported it.',
    priority: 1,
    cell: sourceText,
  },
  {
    name: 'Message',
    type: 'string',
    description: 'What happened, for people.',
    priority: 0,
    cell: ({ message }: Event) => (message ?? '').trim(),
  },
  timedColumn({
    name: 'First Seen',
    type: 'string',
    description: 'Time since it happened first.',
    priority: 1,
    at: firstSeen,
  }),
  {
    name: 'Count',
    type: 'string',
    description: 'How often it happened.',
    priority: 1,
    cell: ({ series, count }: Event) => series?.count ?? (count || 1),
  },
  {
    name: 'Name',
    type: 'string',
    format: 'name',
    description: 'Name of the event.',
    priority: 1,
    cell: ({ metadata }: Event) => metadata.name ?? '',
  },
] as const;
