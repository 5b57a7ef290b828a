/** Nodes get serving certificates for what they are, and for nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCertificateRequest, parseCertificateRequest } from '#kit/certificate-request.ts';
import type { CertificateSigningRequest } from '#resources/types/certificates-v1.ts';
import type { Node } from '#resources/types/core-v1.ts';
import { mayServe, servingNode } from './serving-approval.ts';

const node: Node = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'n1' },
  status: {
    addresses: [
      { type: 'InternalIP', address: '10.0.0.2' },
      { type: 'Hostname', address: 'n1' },
    ],
  },
};

const csr = (spec: Partial<CertificateSigningRequest['spec']> = {}): CertificateSigningRequest => ({
  apiVersion: 'certificates.k8s.io/v1',
  kind: 'CertificateSigningRequest',
  metadata: { name: 'r' },
  spec: {
    request: '',
    signerName: 'kubernetes.io/kubelet-serving',
    usages: ['digital signature', 'server auth'],
    username: 'system:node:n1',
    groups: ['system:nodes', 'system:authenticated'],
    ...spec,
  },
});

const asked = (more: Partial<Parameters<typeof createCertificateRequest>[0]> = {}) =>
  parseCertificateRequest(
    createCertificateRequest({
      commonName: 'system:node:n1',
      organizations: ['system:nodes'],
      dnsNames: ['n1'],
      ipAddresses: ['10.0.0.2'],
      ...more,
    }).request,
  );

test('only nodes ask for serving certificates', () => {
  assert.equal(servingNode(csr()), 'n1');
  assert.equal(servingNode(csr({ username: 'bob' })), undefined);
  assert.equal(servingNode(csr({ groups: ['system:authenticated'] })), undefined);
  const signerName = 'kubernetes.io/kube-apiserver-client-kubelet';
  assert.equal(servingNode(csr({ signerName })), undefined);
});

test('a node may serve under its own names and addresses', () => {
  assert.ok(mayServe(csr(), asked(), node));
  assert.ok(mayServe(csr(), asked({ dnsNames: [] }), node));
  assert.ok(!mayServe(csr(), asked({ dnsNames: ['n1', 'kubernetes'] }), node));
  assert.ok(!mayServe(csr(), asked({ ipAddresses: ['10.0.0.1'] }), node));
  assert.ok(!mayServe(csr(), asked({ commonName: 'system:node:n2' }), node));
  assert.ok(!mayServe(csr(), asked({ organizations: ['system:masters'] }), node));
  assert.ok(!mayServe(csr({ usages: ['client auth'] }), asked(), node));
  assert.ok(!mayServe(csr(), asked(), { ...node, status: {} }));
});
