/**
 * The objects that benchmarks write: a ConfigMap of 1 KiB, a Pod of about the size that a
 * Deployment makes, a Secret. And the namespace that they need.
 */
import { Connection, type Target } from './connection.ts';

export type Kind = 'configmaps' | 'pods' | 'secrets';

export interface Place {
  readonly namespace: string;
  /** Before the number in each name. */
  readonly prefix: string;
}

const text = 'abcdefghijklmnopqrstuvwxyz0123456789'.repeat(40);

export function namespacePath(namespace: string, kind: Kind): string {
  return `/api/v1/namespaces/${namespace}/${kind}`;
}

export function objectOf(kind: Kind, name: string, bytes = 1024): string {
  if (kind === 'pods') return podText(name);
  const head = kind === 'secrets' ? '"kind":"Secret","stringData"' : '"kind":"ConfigMap","data"';
  const data = { payload: text.slice(0, bytes) };
  const metadata = { name, labels: { app: 'load' } };
  return `{"apiVersion":"v1","metadata":${JSON.stringify(metadata)},${head}:${JSON.stringify(data)}}`;
}

function podText(name: string): string {
  const env = [
    { name: 'A', value: '1' },
    { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
  ];
  const resources = {
    requests: { cpu: '10m', memory: '16Mi' },
    limits: { cpu: '100m', memory: '64Mi' },
  };
  const ports = [{ containerPort: 8080, name: 'http' }];
  const image = 'registry.example/app:1.2.3';
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      labels: { app: 'load', tier: 'backend', 'pod-template-hash': '5d9f7c6b8' },
      annotations: { 'example.com/owner': 'load-generator' },
    },
    spec: { containers: [{ name: 'main', image, ports, env, resources }] },
  });
}

/** The namespace and, where no controller makes it, its default ServiceAccount. */
export async function prepareNamespace(target: Target, name: string): Promise<void> {
  const connection = await Connection.open(target);
  try {
    for (const [path, kind, object] of [
      ['/api/v1/namespaces', 'Namespace', name],
      [`/api/v1/namespaces/${name}/serviceaccounts`, 'ServiceAccount', 'default'],
    ] as const) {
      const body = JSON.stringify({ apiVersion: 'v1', kind, metadata: { name: object } });
      const { status, body: answer } = await connection.send({ method: 'POST', path, body });
      if (status !== 201 && status !== 409) throw new Error(`${path}: ${status} ${answer}`);
    }
  } finally {
    connection.close();
  }
}
