/**
 * LimitRange: bounds and defaults of what single containers, pods and claims of a namespace may ask
 * for. The admission step `limit-ranger.ts` of the API server applies it.
 */
import { duplicate, type FieldError, forbidden, invalid, required } from '#api/field-error.ts';
import { qualifiedNameProblems } from '#api/names.ts';
import { compareQuantities, quantityMilliValue } from '#api/quantity.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { inThousandths } from '../amounts.ts';
import { nameColumn } from '../columns.ts';
import { changeMember, fillIn, mapItems } from '../fill-in.ts';
import type { LimitRange, LimitRangeItem } from '../types/core-v1.ts';
import { hubView } from '../view.ts';

const limitTypes = ['Container', 'PersistentVolumeClaim', 'Pod'];
const containerResources = ['cpu', 'memory', 'ephemeral-storage'];

export function limitRangeResource(): Resource {
  return defineResource<LimitRange>({
    kind: 'LimitRange',
    plural: 'limitranges',
    singular: 'limitrange',
    shortNames: ['limits'],
    categories: [],
    namespaced: true,
    storagePrefix: 'limitranges',
    metadataRechecked: 'whole',
    views: [
      hubView<LimitRange>({
        group: '',
        version: 'v1',
        definition: 'io.k8s.api.core.v1.LimitRange',
        setDefaults: (limitRange) =>
          changeMember(limitRange, 'spec', (spec) =>
            changeMember(spec, 'limits', (limits) => mapItems(limits, setItemDefaults)),
          ),
      }),
    ],
    hasStatus: false,
    specChanged: () => false,
    allowCreateOnUpdate: true,
    validate: validateLimitRange,
    columns: [
      nameColumn(),
      {
        name: 'Created At',
        type: 'date',
        description: 'When the object was created.',
        priority: 0,
        cell: ({ metadata }) => metadata.creationTimestamp ?? '',
      },
    ],
  });
}

/** Limits follow from maxima, requests from limits, then from minima. */
function setItemDefaults(given: LimitRangeItem): LimitRangeItem {
  let item = given;
  for (const key of ['default', 'defaultRequest', 'max', 'maxLimitRequestRatio', 'min'] as const) {
    item = changeMember(item, key, inThousandths);
  }
  if (item.type !== 'Container') return item;
  const limits = fillIn(item.default ?? {}, item.max ?? {});
  const requests = fillIn(fillIn(item.defaultRequest ?? {}, limits), item.min ?? {});
  if (limits === item.default && requests === item.defaultRequest) return item;
  const isEmpty = (list: object): boolean => Object.keys(list).length === 0;
  return {
    ...item,
    ...(isEmpty(limits) ? {} : { default: limits }),
    ...(isEmpty(requests) ? {} : { defaultRequest: requests }),
  };
}

function validateLimitRange({ spec }: LimitRange): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [index, item] of (spec?.limits ?? []).entries()) {
    const field = `spec.limits[${index}]`;
    const { type } = item;
    errors.push(...validateType(type ?? '', `${field}.type`));
    if (seen.has(type)) errors.push(duplicate(`${field}.type`, type));
    seen.add(type);
    errors.push(...validateItem(item, field));
  }
  return errors;
}

function validateType(type: string, field: string): FieldError[] {
  const problems = qualifiedNameProblems(type);
  if (problems.length > 0) return problems.map((problem) => invalid(field, type, problem));
  if (type.includes('/') || limitTypes.includes(type)) return [];
  return [invalid(field, type, 'must be a standard limit type or fully qualified')];
}

const lists = ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const;

function validateItem(item: LimitRangeItem, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  for (const list of lists) {
    const amounts = item[list] ?? {};
    const entries = Object.keys(amounts);
    if (item.type === 'Pod' && (list === 'default' || list === 'defaultRequest')) {
      if (entries.length === 0) continue;
      errors.push(forbidden(`${field}.${list}`, "may not be specified when `type` is 'Pod'"));
      continue;
    }
    for (const name of entries) {
      names.add(name);
      errors.push(...validateName(item.type, name, `${field}.${list}[${name}]`));
    }
  }
  if (item.type === 'PersistentVolumeClaim') {
    if (item.min?.['storage'] === undefined && item.max?.['storage'] === undefined) {
      const detail =
        'either minimum or maximum storage value is required, but neither was provided';
      errors.push(required(`${field}.limits`, detail));
    }
  }
  for (const name of names) errors.push(...validateAmounts(item, name, field));
  return errors;
}

function validateName(type: string, name: string, field: string): FieldError[] {
  const errors = qualifiedNameProblems(name).map((problem) => invalid(field, name, problem));
  if (name.includes('/') || (type !== 'Container' && type !== 'Pod')) return errors;
  if (containerResources.includes(name) || name.startsWith('hugepages-')) return errors;
  return [...errors, invalid(field, name, 'must be a standard resource for containers')];
}

/** Each amount must leave room for the others. */
function validateAmounts(item: LimitRangeItem, name: string, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const pod = item.type === 'Pod';
  const min = item.min?.[name];
  const max = item.max?.[name];
  const limit = pod ? undefined : item.default?.[name];
  const request = pod ? undefined : item.defaultRequest?.[name];
  const ratio = item.maxLimitRequestRatio?.[name];
  const above = (low: string | undefined, high: string | undefined): boolean =>
    low !== undefined && high !== undefined && compareQuantities(low, high) > 0;
  const at = (list: string): string => `${field}.${list}[${name}]`;
  if (above(min, max)) {
    errors.push(invalid(at('min'), min, `min value ${min} is greater than max value ${max}`));
  }
  if (above(min, request)) {
    const detail = `min value ${min} is greater than default request value ${request}`;
    errors.push(invalid(at('defaultRequest'), request, detail));
  }
  if (above(request, max)) {
    const detail = `default request value ${request} is greater than max value ${max}`;
    errors.push(invalid(at('defaultRequest'), request, detail));
  }
  if (above(request, limit)) {
    const detail = `default request value ${request} is greater than default limit value ${limit}`;
    errors.push(invalid(at('defaultRequest'), request, detail));
  }
  if (above(min, limit)) {
    const detail = `min value ${min} is greater than default value ${limit}`;
    errors.push(invalid(at('default'), min, detail));
  }
  if (above(limit, max)) {
    const detail = `default value ${limit} is greater than max value ${max}`;
    errors.push(invalid(at('default'), max, detail));
  }
  if (ratio === undefined) return errors;
  const ratioAt = at('maxLimitRequestRatio');
  if (compareQuantities(ratio, '1') < 0) {
    errors.push(invalid(ratioAt, ratio, `ratio ${ratio} is less than 1`));
  }
  if (min === undefined || max === undefined) return errors;
  const highest = quantityMilliValue(max) / quantityMilliValue(min);
  if (quantityMilliValue(ratio) / 1000 > highest) {
    const detail = `ratio ${ratio} is greater than max/min = ${highest.toFixed(6)}`;
    errors.push(invalid(ratioAt, ratio, detail));
  }
  return errors;
}
