/**
 * Validation of probes and lifecycle hooks: exactly one handler, with what it needs, and timings
 * that make sense for the kind of probe.
 */
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
import { patternText } from '#api/names.ts';
import type {
  Container,
  HTTPGetAction,
  Lifecycle,
  LifecycleHandler,
  Probe,
} from '#resources/types/core-v1.ts';
import { validateNotNegative, validatePortOrName } from '#resources/value-validation.ts';

type Handler = Pick<Probe, 'exec' | 'httpGet' | 'tcpSocket' | 'grpc'> &
  Pick<LifecycleHandler, 'sleep'>;

export function validateProbes(container: Container, field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
    const probe = container[name];
    if (probe === undefined) continue;
    const at = `${field}.${name}`;
    errors.push(...validateProbe(probe, at));
    if (name !== 'readinessProbe' && probe.successThreshold !== 1) {
      errors.push(invalid(`${at}.successThreshold`, probe.successThreshold ?? 0, 'must be 1'));
    }
    if (name === 'readinessProbe' && probe.terminationGracePeriodSeconds !== undefined) {
      errors.push(
        invalid(
          `${at}.terminationGracePeriodSeconds`,
          probe.terminationGracePeriodSeconds,
          'must not be set for readinessProbes',
        ),
      );
    }
  }
  return errors;
}

function validateProbe(probe: Probe, field: string): FieldError[] {
  const errors = validateHandler(probe, field);
  const counts = [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ] as const;
  for (const name of counts) {
    errors.push(...validateNotNegative(probe[name], `${field}.${name}`));
  }
  const grace = probe.terminationGracePeriodSeconds;
  if (grace !== undefined && grace <= 0) {
    errors.push(invalid(`${field}.terminationGracePeriodSeconds`, grace, 'must be greater than 0'));
  }
  return errors;
}

export function validateLifecycle(
  lifecycle: Lifecycle | undefined,
  graceSeconds: number,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const name of ['postStart', 'preStop'] as const) {
    const handler = lifecycle?.[name];
    if (handler === undefined) continue;
    errors.push(...validateHandler(handler, `${field}.${name}`, graceSeconds));
  }
  return errors;
}

function validateHandler(handler: Handler, field: string, graceSeconds = Infinity): FieldError[] {
  const errors: FieldError[] = [];
  let handlers = 0;
  const only = (name: string, check: () => FieldError[]): void => {
    handlers += 1;
    if (handlers > 1) {
      errors.push(forbidden(`${field}.${name}`, 'may not specify more than 1 handler type'));
    } else errors.push(...check());
  };
  const { exec, httpGet, tcpSocket, grpc, sleep } = handler;
  if (exec !== undefined) {
    only('exec', () =>
      (exec.command ?? []).length > 0 ? [] : [required(`${field}.exec.command`)],
    );
  }
  if (httpGet !== undefined) only('httpGet', () => validateHttpGet(httpGet, `${field}.httpGet`));
  if (tcpSocket !== undefined) {
    only('tcpSocket', () => validatePortOrName(tcpSocket.port, `${field}.tcpSocket.port`));
  }
  if (grpc !== undefined) only('grpc', () => validatePortOrName(grpc.port, `${field}.grpc.port`));
  if (sleep !== undefined) {
    only('sleep', () => {
      // A negative time of grace is taken for one second.
      const longest = graceSeconds < 0 ? 1 : graceSeconds;
      if (sleep.seconds >= 0 && sleep.seconds <= longest) return [];
      const detail = `must be non-negative and less than terminationGracePeriodSeconds (${longest})`;
      return [invalid(`${field}.sleep`, sleep.seconds, detail)];
    });
  }
  if (handlers === 0) errors.push(required(field, 'must specify a handler type'));
  return errors;
}

function validateHttpGet(action: HTTPGetAction, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!action.path) errors.push(required(`${field}.path`));
  errors.push(...validatePortOrName(action.port, `${field}.port`));
  if (!['HTTP', 'HTTPS'].includes(action.scheme ?? '')) {
    errors.push(notSupported(`${field}.scheme`, action.scheme ?? '', ['HTTP', 'HTTPS']));
  }
  for (const { name } of action.httpHeaders ?? []) {
    if (/^[-A-Za-z0-9]+$/.test(name)) continue;
    const text = patternText(
      "a valid HTTP header must consist of alphanumeric characters or '-'",
      '[-A-Za-z0-9]+',
      ['X-Header-Name'],
    );
    errors.push(invalid(`${field}.httpHeaders`, name, text));
  }
  return errors;
}
