/**
 * Ingress as it was in extensions/v1beta1 and networking.k8s.io/v1beta1: `backend` for the default,
 * `serviceName` and `servicePort` in one place, and paths without a type (anything that the
 * controller makes of them, as upstream converted them).
 */
import type { KubeObject } from '#api/object.ts';
import type { ResourceView } from '#api/resource.ts';
import { changeMember, mapItems } from '../fill-in.ts';
import type { TypedLocalObjectReference } from '../types/core-v1.ts';
import type {
  HTTPIngressPath,
  Ingress,
  IngressBackend,
  IngressRule,
  IngressSpec,
} from '../types/networking-v1.ts';

interface OldBackend {
  readonly serviceName?: string | undefined;
  readonly servicePort?: number | string | undefined;
  readonly resource?: TypedLocalObjectReference | undefined;
}

type OldPath = Omit<HTTPIngressPath, 'backend' | 'pathType'> & {
  readonly backend?: OldBackend | undefined;
  readonly pathType?: string | undefined;
};

type OldRule = Omit<IngressRule, 'http'> & {
  readonly http?: { readonly paths?: readonly OldPath[] | undefined } | undefined;
};

type OldSpec = Omit<IngressSpec, 'defaultBackend' | 'rules'> & {
  readonly backend?: OldBackend | undefined;
  readonly rules?: readonly OldRule[] | undefined;
};

type OldIngress = Omit<Ingress, 'spec'> & { readonly spec?: OldSpec | undefined };

export function ingressV1beta1View(
  group: 'extensions' | 'networking.k8s.io',
): ResourceView<Ingress> {
  const definition = `io.k8s.api.${group.split('.')[0] ?? group}.v1beta1.Ingress`;
  // In these functions the view's schema has checked the shape.
  return {
    group,
    version: 'v1beta1',
    definition,
    schema: { ref: definition },
    legacy: true,
    setDefaults: (object) => setPathTypes(object as OldIngress),
    toHub: (object) => toHub(object as OldIngress),
    fromHub: (hub) => fromHub(hub, `${group}/v1beta1`),
  };
}

function setPathTypes(ingress: OldIngress): KubeObject {
  return changeMember(ingress, 'spec', (spec) =>
    changeMember(spec, 'rules', (rules) =>
      mapItems(rules, (rule) =>
        changeMember(rule, 'http', (http) =>
          changeMember(http, 'paths', (paths) =>
            mapItems(paths, (path) =>
              path.pathType === undefined ? { ...path, pathType: 'ImplementationSpecific' } : path,
            ),
          ),
        ),
      ),
    ),
  );
}

function toHub(ingress: OldIngress): Ingress {
  const { spec, ...rest } = ingress;
  const hub = { ...rest, apiVersion: 'networking.k8s.io/v1' };
  if (spec === undefined) return hub;
  const { backend, rules, ...same } = spec;
  return {
    ...hub,
    spec: {
      ...same,
      ...(backend === undefined ? {} : { defaultBackend: toBackend(backend) }),
      ...(rules === undefined ? {} : { rules: rules.map(toRule) }),
    },
  };
}

function toRule({ http, ...same }: OldRule): IngressRule {
  if (http === undefined) return same;
  const paths = (http.paths ?? []).map(
    ({ backend = {}, pathType = 'ImplementationSpecific', ...path }) => ({
      ...path,
      pathType,
      backend: toBackend(backend),
    }),
  );
  return { ...same, http: { paths } };
}

function toBackend({ serviceName, servicePort, resource }: OldBackend): IngressBackend {
  const named = resource === undefined ? {} : { resource };
  const hasPort = servicePort !== undefined && servicePort !== 0 && servicePort !== '';
  if (!serviceName && !hasPort) return named;
  const port = typeof servicePort === 'string' ? { name: servicePort } : { number: servicePort };
  return {
    ...named,
    service: { name: serviceName ?? '', ...(hasPort ? { port } : {}) },
  };
}

function fromHub({ spec, ...rest }: Ingress, apiVersion: string): KubeObject {
  if (spec === undefined) return { ...rest, apiVersion };
  const { defaultBackend, rules, ...same } = spec;
  const old: OldIngress = {
    ...rest,
    apiVersion,
    spec: {
      ...same,
      ...(defaultBackend === undefined ? {} : { backend: fromBackend(defaultBackend) }),
      ...(rules === undefined ? {} : { rules: rules.map(fromRule) }),
    },
  };
  return old;
}

function fromRule({ http, ...same }: IngressRule): OldRule {
  if (http === undefined) return same;
  const paths = (http.paths ?? []).map(({ backend, ...path }) => ({
    ...path,
    backend: fromBackend(backend ?? {}),
  }));
  return { ...same, http: { paths } };
}

function fromBackend({ service, resource }: IngressBackend): OldBackend {
  const named = resource === undefined ? {} : { resource };
  if (service === undefined) return named;
  const servicePort = service.port?.name || service.port?.number;
  return {
    ...named,
    serviceName: service.name,
    ...(servicePort === undefined ? {} : { servicePort }),
  };
}
