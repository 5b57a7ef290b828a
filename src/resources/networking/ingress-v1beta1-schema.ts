/**
 * Schemas of Ingress as it was in extensions/v1beta1 and networking.k8s.io/v1beta1: today's, but
 * for the backends. `legacy-definitions.ts` publishes them under their old names.
 */
import type { Schema } from '#api/schema.ts';

const networking = 'io.k8s.api.networking.v1';
const string: Schema = { type: 'string' };

const backend: Schema = {
  type: 'object',
  fields: {
    resource: { ref: 'io.k8s.api.core.v1.TypedLocalObjectReference' },
    serviceName: string,
    servicePort: { type: 'string', format: 'int-or-string' },
  },
};

const path: Schema = { type: 'object', fields: { backend, path: string, pathType: string } };

const rule: Schema = {
  type: 'object',
  fields: {
    host: string,
    http: {
      type: 'object',
      fields: { paths: { type: 'array', items: path, listType: 'atomic' } },
    },
  },
};

export const ingressV1beta1Schema: Schema = {
  type: 'object',
  fields: {
    apiVersion: string,
    kind: string,
    metadata: { ref: 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' },
    spec: {
      type: 'object',
      fields: {
        backend,
        ingressClassName: string,
        rules: { type: 'array', items: rule, listType: 'atomic' },
        tls: { type: 'array', items: { ref: `${networking}.IngressTLS` }, listType: 'atomic' },
      },
    },
    status: { ref: `${networking}.IngressStatus` },
  },
};
