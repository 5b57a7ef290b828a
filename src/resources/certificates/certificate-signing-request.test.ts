/** Signing requests: who asked, what is refused, who may decide, and what a list shows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatFieldError } from '#api/field-error.ts';
import type { WriteContext } from '#api/resource.ts';
import { seededRandom } from '#kit/random.ts';
import { shown, updated, written } from '#test/descriptor.ts';
import type {
  CertificateSigningRequest,
  CertificateSigningRequestCondition,
} from '../types/certificates-v1.ts';

type Request = CertificateSigningRequest;

const pem = `-----BEGIN CERTIFICATE REQUEST-----
MAA=
-----END CERTIFICATE REQUEST-----
`;
const request = Buffer.from(pem).toString('base64');
const good = { request, signerName: 'example.com/boats', usages: ['client auth'] };
const context: WriteContext = { now: '2026-02-01T00:00:00Z', user: 'x', random: seededRandom(1) };

function create(spec: object, version = 'v1') {
  return written<Request>({
    apiVersion: `certificates.k8s.io/${version}`,
    kind: 'CertificateSigningRequest',
    metadata: { name: 'one' },
    spec,
  });
}

test('who asks is recorded, whatever the body says', () => {
  const { hub, errors } = create({ ...good, username: 'root', groups: ['system:masters'] });
  assert.deepEqual(errors, []);
  assert.deepEqual(hub.spec, { ...good, username: 'tester' });
  assert.deepEqual(hub.status, {});
});

test('a request of old needs no signer and no usages', () => {
  const { hub, errors } = create({ request }, 'v1beta1');
  assert.deepEqual(errors, []);
  assert.equal(hub.apiVersion, 'certificates.k8s.io/v1');
  assert.equal(hub.spec.signerName, 'kubernetes.io/legacy-unknown');
  assert.deepEqual(hub.spec.usages, ['digital signature', 'key encipherment']);
  assert.equal(shown(hub, 'certificates.k8s.io/v1beta1').apiVersion, 'certificates.k8s.io/v1beta1');
});

test('requests that are refused', () => {
  const cases: readonly [object, RegExp][] = [
    [{ request: 'eA==' }, /^spec.request: .*: PEM block type must be CERTIFICATE REQUEST$/],
    [{ usages: [] }, /^spec.usages: Required value$/],
    [
      { usages: ['flying'] },
      /^spec.usages\[0\]: Unsupported value: "flying": supported values: "a/,
    ],
    [{ usages: ['any', 'any'] }, /^spec.usages\[1\]: Duplicate value: "any"$/],
    [{ signerName: '' }, /^spec.signerName: Required value$/],
    [{ signerName: 'me' }, /^spec.signerName: .* form 'example.com\/signer-name'$/],
    [{ signerName: 'me/x' }, /at least two segments separated by dots$/],
    [{ expirationSeconds: 60 }, /: may not specify a duration less than 600 seconds/],
  ];
  for (const [spec, text] of cases) assert.match(create({ ...good, ...spec }).errors.join(), text);
});

const approved = { type: 'Approved', status: 'True', reason: 'Fine' };
const denied = { type: 'Denied', status: 'True' };

function decide(old: Request, conditions: readonly CertificateSigningRequestCondition[]) {
  const { resource } = create(good);
  const approval = resource.partialUpdates?.['approval'];
  assert.ok(approval);
  const next = { ...old, spec: { ...old.spec, request: '' }, status: { conditions } };
  const hub = approval.prepare(next, old, context) as Request;
  return {
    hub,
    errors: [...resource.validate(hub), ...approval.validate(hub, old)].map(formatFieldError),
  };
}

test('a decision changes conditions only, is dated, and is final', () => {
  const { hub, cells } = create(good);
  assert.equal(cells(0)['Condition'], 'Pending');
  const first = decide(hub, [approved]);
  assert.deepEqual(first.errors, []);
  assert.deepEqual(first.hub.spec, hub.spec);
  const { now } = context;
  assert.deepEqual(first.hub.status?.conditions, [
    { ...approved, lastUpdateTime: now, lastTransitionTime: now },
  ]);
  assert.deepEqual(decide(first.hub, []).errors, [
    'status.conditions: Forbidden: updates may not remove a condition of type "Approved"',
  ]);
  assert.deepEqual(decide(first.hub, [approved, denied]).errors, [
    'status.conditions[1].type: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive',
  ]);
});

test('the status brings the certificate, not the decision', () => {
  const { hub } = create(good);
  const status = (next: object, old: Request) =>
    updated<Request>({ ...hub, status: next }, old, 'status');
  assert.deepEqual(status({ conditions: [approved] }, hub).errors, [
    'status.conditions: Forbidden: updates may not add a condition of type "Approved"',
  ]);
  const issued = status({ certificate: 'Y2VydA==' }, hub);
  assert.deepEqual(issued.errors, []);
  assert.equal(issued.cells(0)['Condition'], 'Pending,Issued');
  assert.deepEqual(status({ certificate: 'b3RoZXI=' }, issued.hub).errors, [
    'status.certificate: Forbidden: updates may not modify existing certificate content',
  ]);
  const plain = updated<Request>({ ...hub, spec: { ...good, usages: ['any'] } }, issued.hub);
  assert.deepEqual(plain.hub.spec, hub.spec);
  assert.deepEqual(plain.hub.status, issued.hub.status);
});
