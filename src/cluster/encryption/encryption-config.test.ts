/**
 * An `EncryptionConfiguration` is read and refused as upstream's API server v1.36 does it; its
 * answers to these very files were recorded. Two things differ: we tell no secrets, and name no
 * source files.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { parseEncryptionConfiguration } from './encryption-config.ts';

const key32 = Buffer.from('0123456789abcdef0123456789abcdef').toString('base64');
const key16 = Buffer.from('0123456789abcdef').toString('base64');

/** The resources of a file of today's kind. */
const parse = (source: string) => parseEncryptionConfiguration(source, 'e.yaml');
const today = (resources: string): string =>
  `kind: EncryptionConfiguration\napiVersion: apiserver.config.k8s.io/v1\n${resources}`;
const providers = (list: string): string =>
  today(`resources:\n- resources: [secrets]\n  providers: ${list}\n`);

const parsing = 'error while parsing file: ';
const decoding = `${parsing}error decoding encryption provider configuration file "e.yaml": `;

test('both kinds are read: resources, providers and keys in their order', () => {
  const resources = `
resources:
- resources: [secrets, pandas.awesome.bears.example]
  providers:
  - aesgcm: { keys: [{ name: key1, secret: ${key16} }, { name: key2, secret: ${key32} }] }
  - secretbox: { keys: [{ name: key1, secret: ${key32} }] }
  - identity: {}
- resources: ['*.apps']
  providers: [{ identity: {} }]
`;
  const expected = {
    resources: [
      {
        resources: ['secrets', 'pandas.awesome.bears.example'],
        providers: [
          {
            kind: 'aesgcm',
            keys: [
              { name: 'key1', secret: Buffer.from(key16, 'base64') },
              { name: 'key2', secret: Buffer.from(key32, 'base64') },
            ],
          },
          { kind: 'secretbox', keys: [{ name: 'key1', secret: Buffer.from(key32, 'base64') }] },
          { kind: 'identity' },
        ],
      },
      { resources: ['*.apps'], providers: [{ kind: 'identity' }] },
    ],
  };
  deepEqual(parse(today(resources)), expected);
  deepEqual(parse(`kind: EncryptionConfig\napiVersion: v1\n${resources}`), expected);
  equal(
    parse(''),
    `${parsing}error while loading file: encryption provider configuration file "e.yaml" is empty`,
  );
  equal(parse('resources: []\n'), `${decoding}Object 'Kind' is missing in 'resources: []\n'`);
  // Keys are shown to nobody.
  equal(parse(resources), `${decoding}Object 'Kind' is missing in 'REDACTED'`);
  const other = 'kind: Foo\napiVersion: apiserver.config.k8s.io/v1\n';
  equal(
    parse(other),
    `${decoding}no kind "Foo" is registered for version "apiserver.config.k8s.io/v1"`,
  );
  equal(
    parse(today('').replace('/v1', '/v2')),
    `${decoding}no kind "EncryptionConfiguration" is registered for version "apiserver.config.k8s.io/v2"`,
  );
  equal(
    parse(today('')),
    `${parsing}resources: Required value: at least one resources is required`,
  );
  equal(
    parse(today('resources: 5')),
    `${decoding}json: cannot unmarshal number into Go struct field EncryptionConfiguration.resources of type []v1.ResourceConfiguration`,
  );
});

test('unknown fields are refused', () => {
  const strict = `${decoding}strict decoding error: unknown field `;
  equal(
    parse(providers(`[{aescb: {keys: [{name: k, secret: ${key32}}]}}]`)),
    `${strict}"resources[0].providers[0].aescb"`,
  );
  equal(
    parse(providers('[{identity: {foo: 1}}]')),
    `${strict}"resources[0].providers[0].identity.foo"`,
  );
});

test('an entry of providers has exactly one', () => {
  covers('DAT-028');
  const at = `${parsing}resources[0].providers[0]: Invalid value: `;
  const two = parse(providers(`[{identity: {}, aescbc: {keys: [{name: k, secret: ${key32}}]}}]`));
  equal(
    two,
    `${at}{"AESGCM":null,"AESCBC":{"Keys":[{"Name":"k","Secret":"REDACTED"}]},"Secretbox":null,"Identity":{},"KMS":null}: more than one provider specified in a single element, should split into different list elements`,
  );
  equal(
    parse(providers('[{}]')),
    `${at}{"AESGCM":null,"AESCBC":null,"Secretbox":null,"Identity":null,"KMS":null}: provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity`,
  );
});

test('keys have a name and a secret of the right length, which is not told', () => {
  const list = `
  - aescbc: {}
  - aesgcm:
      keys: [{secret: ${key32}}, {name: a}, {name: b, secret: '%%%'}, {name: c, secret: YWJj}]
  - secretbox: {keys: [{name: a, secret: ${key16}}]}`;
  equal(
    parse(providers(list)),
    `${parsing}[resources[0].providers[0].aescbc.keys: Required value: at least one keys is required, resources[0].providers[1].aesgcm.keys[0].name: Required value: name is a mandatory field for a key, resources[0].providers[1].aesgcm.keys[1].secret: Required value: secret is a mandatory field for a key, resources[0].providers[1].aesgcm.keys[2].secret: Invalid value: "REDACTED": secrets must be base64 encoded, resources[0].providers[1].aesgcm.keys[3].secret: Invalid value: "REDACTED": secret is not of the expected length, got 3, expected one of [16 24 32], resources[0].providers[2].secretbox.keys[0].secret: Invalid value: "REDACTED": secret is not of the expected length, got 16, expected one of [32]]`,
  );
});

test("names of resources that are none, or stand in each other's way", () => {
  const names =
    'Secrets, "*", serviceipallocations, events.events.k8s.io, deployments.extensions, "secrets.*", secrets, secrets, "*.", "*.*"';
  const shown = `[${names
    .replace(/"/g, '')
    .split(', ')
    .map((name) => `"${name}"`)
    .join(',')}]`;
  const resources = `resources:\n- resources: [${names}]\n  providers: []\n- providers: [{identity: {}}]\n`;
  equal(
    parse(today(resources)),
    `${parsing}[resources[0].resources: Invalid value: ${shown}: the same resource cannot be specified multiple times, resources[0].resources: Invalid value: ${shown}: using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked, resources[0].resources[0]: Invalid value: "Secrets": resource name should not contain capital letters, resources[0].resources[1]: Invalid value: "*": use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources, resources[0].resources[2]: Invalid value: "serviceipallocations": resources which do not have REST API/s cannot be encrypted, resources[0].resources[3]: Invalid value: "events.events.k8s.io": '*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file, resources[0].resources[4]: Invalid value: "deployments.extensions": 'extensions' group has been removed and cannot be used for encryption, resources[0].resources[5]: Invalid value: "secrets.*": encrypting the same resource across groups is not supported, resources[0].providers: Required value: at least one resources[0].providers is required, resources[1].resources: Required value: at least one resources[1].resources is required]`,
  );
  const masked = (first: string, second: string) =>
    parse(
      today(
        `resources:\n${[first, second]
          .map((name) => `- resources: ['${name}']\n  providers: [{identity: {}}]\n`)
          .join('')}`,
      ),
    );
  const building = 'error while building transformers: ';
  equal(masked('*.', 'secrets'), `${building}resource "secrets" is masked by earlier rule "*."`);
  equal(masked('*.*', '*.'), `${building}resource "*." is masked by earlier rule "*.*"`);
  ok(typeof masked('secrets', '*.*') === 'object');
});

test('key management services are of the second version, with a name and a socket', () => {
  const socket = 'unix:///run/kms.sock';
  deepEqual(parse(providers(`[{kms: {apiVersion: v2, name: a, endpoint: "${socket}"}}]`)), {
    resources: [
      {
        resources: ['secrets'],
        providers: [{ kind: 'kms', name: 'a', endpoint: socket, timeoutMs: 3000 }],
      },
    ],
  });
  equal(
    parse(
      providers(
        `[{kms: {name: foo, endpoint: "${socket}"}}, {kms: {apiVersion: v3, name: "a:b", endpoint: "http://x", cachesize: 3, timeout: 0s}}, {kms: {apiVersion: v2, name: x, cachesize: 4}}]`,
      ),
    ),
    `${parsing}[resources[0].providers[1].kms.name: Invalid value: "a:b": invalid KMS provider name a:b, must not contain ':', resources[0].providers[1].kms.timeout: Invalid value: "0s": timeout should be a positive value, resources[0].providers[1].kms.endpoint: Invalid value: "http://x": unsupported scheme "http" for KMS provider, only unix is supported, resources[0].providers[1].kms.cachesize: Invalid value: 3: cachesize is not supported in v2, resources[0].providers[1].kms.apiVersion: Invalid value: "v3": unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported, resources[0].providers[2].kms.endpoint: Invalid value: "": endpoint is a mandatory field for a kms, resources[0].providers[2].kms.cachesize: Invalid value: 4: cachesize is not supported in v2]`,
  );
  equal(
    parse(providers(`[{kms: {name: foo, endpoint: "${socket}"}}]`)),
    'error while building transformers: KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead.  Set --feature-gates=KMSv1=true to use the deprecated KMSv1 feature.',
  );
  const twice = `{kms: {apiVersion: v2, name: a, endpoint: "${socket}"}}`;
  equal(
    parse(providers(`[${twice}, ${twice}]`)),
    `${parsing}resources[0].providers[1].kms.name: Invalid value: "a": duplicate KMS provider name a, names must be unique`,
  );
});
