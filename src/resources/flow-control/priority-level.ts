/**
 * PriorityLevelConfiguration: how many requests of a level may run at once, and what becomes of
 * those that must wait. Stored and validated; the server does not queue by it yet.
 */
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
import { type Column, defineResource, type Resource } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { changeMember, fillIn } from '../fill-in.ts';
import { statusAlone } from '../status-update.ts';
import { textColumn } from '../text-column.ts';
import type {
  LimitedPriorityLevelConfiguration,
  LimitResponse,
  PriorityLevelConfiguration,
  PriorityLevelConfigurationSpec,
  QueuingConfiguration,
} from '../types/flowcontrol-v1.ts';
import { validateNotNegative } from '../value-validation.ts';
import { hubView } from '../view.ts';

const queuesMax = 10_000_000;
const types = ['Exempt', 'Limited'];
const responses = ['Queue', 'Reject'];

export function priorityLevelConfigurationResource(): Resource {
  return defineResource<PriorityLevelConfiguration>({
    kind: 'PriorityLevelConfiguration',
    plural: 'prioritylevelconfigurations',
    singular: 'prioritylevelconfiguration',
    shortNames: [],
    categories: [],
    namespaced: false,
    storagePrefix: 'prioritylevelconfigurations',
    metadataRechecked: 'whole',
    views: [
      hubView<PriorityLevelConfiguration>({
        group: 'flowcontrol.apiserver.k8s.io',
        version: 'v1',
        definition: 'io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration',
        setDefaults: (level) => changeMember(level, 'spec', setLevelDefaults),
      }),
    ],
    hasStatus: true,
    prepareForCreate: (level) => ({ ...level, status: {} }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: statusAlone,
    validate: validateLevel,
    columns: [
      nameColumn(),
      textColumn({
        name: 'Type',
        description: 'Limited, or exempt from limits.',
        cell: ({ spec }) => spec?.type ?? '',
      }),
      ...queueColumns(),
      ageColumn(),
    ],
  });
}

function setLevelDefaults(spec: PriorityLevelConfigurationSpec): PriorityLevelConfigurationSpec {
  if (spec.type === 'Exempt') {
    const exempt = fillIn(spec.exempt ?? {}, { nominalConcurrencyShares: 0, lendablePercent: 0 });
    return exempt === spec.exempt ? spec : { ...spec, exempt };
  }
  return changeMember(spec, 'limited', setLimitedDefaults);
}

function setLimitedDefaults(
  limited: LimitedPriorityLevelConfiguration,
): LimitedPriorityLevelConfiguration {
  const filled = fillIn(limited, { nominalConcurrencyShares: 30, lendablePercent: 0 });
  return changeMember(filled, 'limitResponse', (response) =>
    changeMember(response, 'queuing', (queuing) =>
      fillIn(queuing, { queues: 64, handSize: 8, queueLengthLimit: 50 }),
    ),
  );
}

function queueColumns(): readonly Column<PriorityLevelConfiguration>[] {
  const column = (
    name: string,
    description: string,
    value: (spec: PriorityLevelConfigurationSpec) => number | undefined,
  ): Column<PriorityLevelConfiguration> => ({
    ...{ name, description, type: 'string', priority: 0 },
    cell: ({ spec }) => (spec === undefined ? undefined : value(spec)) ?? '<none>',
  });
  const queuing = ({ limited }: PriorityLevelConfigurationSpec): QueuingConfiguration | undefined =>
    limited?.limitResponse?.queuing;
  return [
    column(
      'NominalConcurrencyShares',
      'Its share of the requests that run at once.',
      ({ limited }) => limited?.nominalConcurrencyShares,
    ),
    column('Queues', 'Number of queues.', (spec) => queuing(spec)?.queues),
    column('HandSize', 'Queues that one flow may use.', (spec) => queuing(spec)?.handSize),
    column(
      'QueueLengthLimit',
      'Requests that may wait in one queue.',
      (spec) => queuing(spec)?.queueLengthLimit,
    ),
  ];
}

function validateLevel({ spec }: PriorityLevelConfiguration): FieldError[] {
  const { type = '', limited, exempt } = spec ?? {};
  switch (type) {
    case 'Exempt': {
      const errors =
        limited === undefined
          ? []
          : [forbidden('spec.limited', 'must be nil if the type is not Limited')];
      const at = 'spec.exempt';
      return [
        ...errors,
        ...validateNotNegative(exempt?.nominalConcurrencyShares, `${at}.nominalConcurrencyShares`),
        ...validatePercent(exempt?.lendablePercent, `${at}.lendablePercent`),
      ];
    }
    case 'Limited': {
      const errors =
        exempt === undefined
          ? []
          : [forbidden('spec.exempt', 'must be nil if the type is Limited')];
      if (limited !== undefined) return [...errors, ...validateLimited(limited, 'spec.limited')];
      return [...errors, required('spec.limited', 'must not be empty when type is Limited')];
    }
    default:
      return [notSupported('spec.type', type, types)];
  }
}

function validatePercent(percent: number | undefined, field: string): FieldError[] {
  if (percent === undefined || (percent >= 0 && percent <= 100)) return [];
  return [invalid(field, percent, 'must be between 0 and 100, inclusive')];
}

function validateLimited(limited: LimitedPriorityLevelConfiguration, field: string): FieldError[] {
  const { nominalConcurrencyShares, borrowingLimitPercent, limitResponse } = limited;
  return [
    ...validateNotNegative(nominalConcurrencyShares, `${field}.nominalConcurrencyShares`),
    ...validateResponse(limitResponse ?? { type: '' }, `${field}.limitResponse`),
    ...validatePercent(limited.lendablePercent, `${field}.lendablePercent`),
    ...validateNotNegative(borrowingLimitPercent, `${field}.borrowingLimitPercent`),
  ];
}

function validateResponse({ type, queuing }: LimitResponse, field: string): FieldError[] {
  if (!responses.includes(type)) return [notSupported(`${field}.type`, type, responses)];
  const at = `${field}.queuing`;
  if (type === 'Reject') {
    if (queuing === undefined) return [];
    return [forbidden(at, 'must be nil if limited.limitResponse.type is not Limited')];
  }
  if (queuing === undefined) {
    const detail = 'must not be empty if limited.limitResponse.type is Limited';
    return [required(at, detail)];
  }
  const { queues = 0, handSize = 0, queueLengthLimit = 0 } = queuing;
  const errors: FieldError[] = [];
  for (const [key, value] of Object.entries({ queueLengthLimit, queues, handSize })) {
    if (value <= 0) errors.push(invalid(`${at}.${key}`, value, 'must be positive'));
  }
  if (queues > queuesMax) {
    errors.push(invalid(`${at}.queues`, queues, `must not be greater than ${queuesMax}`));
  }
  if (handSize > queues) {
    const detail = `should not be greater than queues (${queues})`;
    errors.push(invalid(`${at}.handSize`, handSize, detail));
  }
  return errors;
}
