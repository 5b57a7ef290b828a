/**
 * MutatingWebhookConfiguration and ValidatingWebhookConfiguration: who outside of the server is to
 * be asked about which requests. Stored and validated; nothing asks them yet.
 */
import { duplicate, type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { label1035Problems, subdomainProblems } from '#api/names.ts';
import type { KubeObject } from '#api/object.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import type { LabelSelector } from '#api/selectors.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { changeMember, fillAbsent, fillIn, mapItems } from '../fill-in.ts';
import type {
  MutatingWebhook,
  ValidatingWebhook,
  WebhookClientConfig,
} from '../types/admissionregistration-v1.ts';
import { validatePort } from '../value-validation.ts';
import { hubView } from '../view.ts';
import {
  admissionGroup,
  failurePolicies,
  setRuleDefaults,
  validateNamed,
  validateOptionalChoice,
  validateRules,
  validateSelectors,
} from './match-rules.ts';

/** The webhooks of one sort lack what only those of the other sort can say. */
type Webhook = ValidatingWebhook & Pick<MutatingWebhook, 'reinvocationPolicy'>;

interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly Webhook[] | undefined;
}

const secondsMax = 30;
const reviewVersions = ['v1', 'v1beta1'];
const sideEffectClasses = ['None', 'NoneOnDryRun'];
const reinvocationPolicies = ['IfNeeded', 'Never'];

export function mutatingWebhookConfigurationResource(): Resource {
  return configurationResource('MutatingWebhookConfiguration', { reinvocationPolicy: 'Never' });
}

export function validatingWebhookConfigurationResource(): Resource {
  return configurationResource('ValidatingWebhookConfiguration', {});
}

function configurationResource(
  kind: 'MutatingWebhookConfiguration' | 'ValidatingWebhookConfiguration',
  own: Partial<Webhook>,
): Resource {
  const singular = kind.toLowerCase();
  return defineResource<WebhookConfiguration>({
    kind,
    plural: `${singular}s`,
    singular,
    shortNames: [],
    categories: ['api-extensions'],
    namespaced: false,
    storagePrefix: `${singular}s`,
    allowUnconditionalUpdate: false,
    metadataRechecked: 'whole',
    views: [
      hubView<WebhookConfiguration>({
        group: admissionGroup,
        version: 'v1',
        definition: `io.k8s.api.admissionregistration.v1.${kind}`,
        setDefaults: (configuration) =>
          changeMember(configuration, 'webhooks', (webhooks) =>
            mapItems(webhooks, (webhook) => setWebhookDefaults(webhook, own)),
          ),
      }),
    ],
    hasStatus: false,
    validate: validateConfiguration,
    columns: [
      nameColumn(),
      {
        name: 'Webhooks',
        type: 'integer',
        description: 'Number of webhooks.',
        priority: 0,
        cell: ({ webhooks = [] }) => webhooks.length,
      },
      ageColumn(),
    ],
  });
}

function setWebhookDefaults(webhook: Webhook, own: Partial<Webhook>): Webhook {
  const all: LabelSelector = {};
  const filled = fillAbsent(webhook, {
    failurePolicy: 'Fail',
    matchPolicy: 'Equivalent',
    namespaceSelector: all,
    objectSelector: all,
    timeoutSeconds: 10,
    ...own,
  });
  const ruled = changeMember(filled, 'rules', setRuleDefaults);
  return changeMember(ruled, 'clientConfig', (config) =>
    changeMember(config, 'service', (service) => fillIn(service, { port: 443 })),
  );
}

function validateConfiguration({ webhooks = [] }: WebhookConfiguration): FieldError[] {
  const names = new Set<string>();
  return webhooks.flatMap((webhook, index) => {
    const at = `webhooks[${index}]`;
    const errors = validateWebhook(webhook, at);
    if (names.has(webhook.name)) errors.push(duplicate(`${at}.name`, webhook.name));
    names.add(webhook.name);
    return errors;
  });
}

function validateWebhook(webhook: Webhook, field: string): FieldError[] {
  const { sideEffects, timeoutSeconds, failurePolicy, reinvocationPolicy } = webhook;
  const errors = [
    ...validateFullName(webhook.name, `${field}.name`),
    ...validateRules(webhook.rules, `${field}.rules`),
    ...validateOptionalChoice(failurePolicy, failurePolicies, `${field}.failurePolicy`),
    ...validateSelectors(webhook, field),
  ];
  if (sideEffects === undefined) {
    const detail = `must specify one of ${sideEffectClasses.join(', ')}`;
    errors.push(required(`${field}.sideEffects`, detail));
  } else if (!sideEffectClasses.includes(sideEffects)) {
    errors.push(notSupported(`${field}.sideEffects`, sideEffects, sideEffectClasses));
  }
  if (timeoutSeconds !== undefined && (timeoutSeconds < 1 || timeoutSeconds > secondsMax)) {
    const detail = `the timeout value must be between 1 and ${secondsMax} seconds`;
    errors.push(invalid(`${field}.timeoutSeconds`, timeoutSeconds, detail));
  }
  const again = `${field}.reinvocationPolicy`;
  errors.push(
    ...validateOptionalChoice(reinvocationPolicy, reinvocationPolicies, again),
    ...validateClientConfig(webhook.clientConfig, `${field}.clientConfig`),
    ...validateReviewVersions(webhook.admissionReviewVersions, `${field}.admissionReviewVersions`),
    ...validateNamed(webhook.matchConditions ?? [], `${field}.matchConditions`, {
      params: false,
      authorizer: true,
    }),
  );
  return errors;
}

function validateFullName(name: string, field: string): FieldError[] {
  if (name === '') return [required(field)];
  const problems = subdomainProblems(name);
  if (problems.length > 0) return problems.map((problem) => invalid(field, name, problem));
  if (name.split('.').length > 2) return [];
  const detail = 'should be a domain with at least three segments separated by dots';
  return [invalid(field, name, detail)];
}

function validateReviewVersions(versions: readonly string[], field: string): FieldError[] {
  const known = reviewVersions.join(', ');
  if (versions.length === 0) return [required(field, `must specify one of ${known}`)];
  const errors = versions.flatMap((version, index) =>
    label1035Problems(version).map((problem) => invalid(`${field}[${index}]`, version, problem)),
  );
  if (errors.length > 0 || versions.some((version) => reviewVersions.includes(version))) {
    return errors;
  }
  return [invalid(field, versions, `must include at least one of ${known}`)];
}

function validateClientConfig({ url, service }: WebhookClientConfig, field: string): FieldError[] {
  if ((url === undefined) === (service === undefined)) {
    return [required(field, 'exactly one of url or service is required')];
  }
  if (url !== undefined) return validateUrl(url, `${field}.url`);
  const { name = '', namespace = '', path, port = 443 } = service ?? {};
  const at = `${field}.service`;
  const errors: FieldError[] = [];
  if (name === '') errors.push(required(`${at}.name`, 'service name is required'));
  if (namespace === '') {
    errors.push(required(`${at}.namespace`, 'service namespace is required'));
  }
  for (const error of validatePort(port, `${at}.port`)) {
    errors.push({ ...error, detail: `port is not valid: ${error.detail}` });
  }
  if (path !== undefined && !path.startsWith('/')) {
    errors.push(invalid(`${at}.path`, path, "must start with a '/'"));
  }
  return errors;
}

function validateUrl(text: string, field: string): FieldError[] {
  const form = '; desired format: https://host[/path]';
  if (!URL.canParse(text)) return [required(field, `url must be a valid URL${form}`)];
  const { protocol, host, username, password, hash, search } = new URL(text);
  const scheme = protocol.slice(0, -1);
  const problems: readonly [boolean, unknown, string][] = [
    [scheme !== 'https', scheme, `'https' is the only allowed URL scheme${form}`],
    [host === '', host, `host must be specified${form}`],
    [`${username}${password}` !== '', username, 'user information is not permitted in the URL'],
    [hash !== '', hash.slice(1), 'fragments are not permitted in the URL'],
    [search !== '', search.slice(1), 'query parameters are not permitted in the URL'],
  ];
  return problems
    .filter(([broken]) => broken)
    .map(([, value, detail]) => invalid(field, value, detail));
}
