/**
 * What a list or a watch may be asked for together, and the time that a request gives itself:
 * wrong combinations are refused like wrong fields of an object of kind ListOptions.
 *
 * Called by list, watch and delete of many before they look at anything; the time by the lifecycle.
 */
import { badRequest, invalid } from '#api/errors.ts';
import { type FieldError, forbidden, notSupported } from '#api/field-error.ts';

const matchField = 'resourceVersionMatch';

export function checkListOptions(
  query: URLSearchParams,
  { isWatch }: { readonly isWatch: boolean },
): void {
  if (query.size === 0) return;
  const errors = isWatch ? watchErrors(query) : listErrors(query);
  if (errors.length > 0) throw invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', errors);
}

function listErrors(query: URLSearchParams): readonly FieldError[] {
  const errors: FieldError[] = [];
  const no = (detail: string): number => errors.push(forbidden(matchField, detail));
  const match = query.get(matchField) ?? '';
  const resourceVersion = query.get('resourceVersion') ?? '';
  if (match !== '') {
    if (resourceVersion === '') {
      no('resourceVersionMatch is forbidden unless resourceVersion is provided');
    }
    if (continues(query)) no('resourceVersionMatch is forbidden when continue is provided');
    if (match !== 'Exact' && match !== 'NotOlderThan') {
      errors.push(notSupported(matchField, match, ['Exact', 'NotOlderThan', '']));
    }
    if (match === 'Exact' && resourceVersion === '0') {
      no('resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
    }
  }
  if (saysInitialEvents(query)) {
    errors.push(forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  }
  return errors;
}

function watchErrors(query: URLSearchParams): readonly FieldError[] {
  const errors: FieldError[] = [];
  const no = (detail: string): number => errors.push(forbidden(matchField, detail));
  const match = query.get(matchField) ?? '';
  const asksInitial = saysInitialEvents(query);
  if (asksInitial && match !== 'NotOlderThan') {
    no('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
  }
  // Who asks from the beginning is taken to have asked for initial events.
  const revision = query.get('resourceVersion') ?? '';
  const fromStart = !asksInitial && match === '' && (revision === '' || revision === '0');
  if (continues(query) && (match !== '' || fromStart)) {
    no('resourceVersionMatch is forbidden when continue is provided');
  }
  if (match === '') return errors;
  if (!asksInitial) {
    no('resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided');
  }
  if (match !== 'NotOlderThan') errors.push(notSupported(matchField, match, ['NotOlderThan']));
  return errors;
}

function continues(query: URLSearchParams): boolean {
  return (query.get('continue') ?? '') !== '';
}

export function saysInitialEvents(query: URLSearchParams): boolean {
  return (query.get('sendInitialEvents') ?? '') !== '';
}

/**
 * `timeout=10s` in a query; how long it is does not matter here, only that it is one. Of watches it
 * is not asked, nor of what is passed on, whose query is another's.
 */
export function checkTimeout(text: string): void {
  if (text === '') return;
  const shown = JSON.stringify(text);
  const refuse = (why: string): never => {
    throw badRequest(`invalid timeout specified in the request URL - time: ${why}`);
  };
  let rest = text.replace(/^[-+]/, '');
  if (rest === '0') return;
  if (rest === '') refuse(`invalid duration ${shown}`);
  while (rest !== '') {
    const [found, unit = ''] = /^(?:\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest) ?? [];
    if (found === undefined) refuse(`invalid duration ${shown}`);
    if (unit === '') refuse(`missing unit in duration ${shown}`);
    if (!/^(?:ns|us|µs|μs|ms|s|m|h)$/.test(unit)) {
      refuse(`unknown unit ${JSON.stringify(unit)} in duration ${shown}`);
    }
    rest = rest.slice(found?.length);
  }
}
