/** The texts, codes and details of API errors, which clients print and match. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ApiError,
  alreadyExists,
  badRequest,
  conflict,
  expired,
  forbidden,
  fromStatus,
  internalError,
  invalid,
  isReason,
  notAcceptable,
  notFound,
  requestEntityTooLarge,
  tooManyRequests,
  unauthorized,
  unsupportedMediaType,
} from './errors.ts';
import {
  duplicate,
  forbidden as forbiddenField,
  formatFieldError,
  invalid as invalidField,
  notSupported,
  required,
  tooLong,
  tooMany,
} from './field-error.ts';

const pods = { group: '', resource: 'pods' };
const deployments = { group: 'apps', resource: 'deployments' };

test('each error says what upstream says', () => {
  const cases: readonly [ApiError, number, string, string][] = [
    [notFound(pods, 'web'), 404, 'NotFound', 'pods "web" not found'],
    [notFound(deployments, 'web'), 404, 'NotFound', 'deployments.apps "web" not found'],
    [alreadyExists(pods, 'web'), 409, 'AlreadyExists', 'pods "web" already exists'],
    [
      conflict(deployments, 'web'),
      409,
      'Conflict',
      'Operation cannot be fulfilled on deployments.apps "web": the object has been modified; ' +
        'please apply your changes to the latest version and try again',
    ],
    [
      forbidden(pods, 'web', 'User "x" cannot get resource'),
      403,
      'Forbidden',
      'pods "web" is forbidden: User "x" cannot get resource',
    ],
    [forbidden(pods, '', 'no'), 403, 'Forbidden', 'pods is forbidden: no'],
    [forbidden({ group: '', resource: '' }, '', 'no'), 403, 'Forbidden', 'forbidden: no'],
    [unauthorized(), 401, 'Unauthorized', 'Unauthorized'],
    [badRequest('bad'), 400, 'BadRequest', 'bad'],
    [expired('old'), 410, 'Expired', 'old'],
    [tooManyRequests('later', 1), 429, 'TooManyRequests', 'later'],
    [internalError('boom'), 500, 'InternalError', 'Internal error occurred: boom'],
    [
      notAcceptable(['application/json']),
      406,
      'NotAcceptable',
      '406: Not Acceptable\n\nAvailable representations: application/json',
    ],
    [
      unsupportedMediaType(['application/json', 'application/yaml']),
      415,
      'UnsupportedMediaType',
      'the body of the request was in an unknown format - accepted media types include: ' +
        'application/json, application/yaml',
    ],
    [
      requestEntityTooLarge('limit is 3'),
      413,
      'RequestEntityTooLarge',
      'Request entity too large: limit is 3',
    ],
  ];
  for (const [error, code, reason, message] of cases) {
    assert.equal(error.status.code, code, message);
    assert.equal(error.status.reason, reason, message);
    assert.equal(error.message, message);
    assert.equal(error.status.status, 'Failure');
  }
});

test('details name the object, causes name the fields', () => {
  const error = invalid({ group: 'apps', kind: 'Deployment' }, 'web', [
    invalidField('spec.replicas', -1, 'must be greater than or equal to 0'),
    required('spec.selector'),
  ]);
  assert.equal(
    error.message,
    'Deployment.apps "web" is invalid: [spec.replicas: Invalid value: -1: must be greater than ' +
      'or equal to 0, spec.selector: Required value]',
  );
  assert.deepEqual(error.status.details, {
    name: 'web',
    group: 'apps',
    kind: 'Deployment',
    causes: [
      {
        reason: 'FieldValueInvalid',
        message: 'Invalid value: -1: must be greater than or equal to 0',
        field: 'spec.replicas',
      },
      { reason: 'FieldValueRequired', message: 'Required value', field: 'spec.selector' },
    ],
  });
  assert.equal(error.status.code, 422);
});

test('one field error stands without brackets, equal ones once', () => {
  const one = required('metadata.name');
  const error = invalid({ group: '', kind: 'Pod' }, 'x', [one, one]);
  assert.equal(error.message, 'Pod "x" is invalid: metadata.name: Required value');
});

test('field errors in words', () => {
  const cases = [
    [duplicate('a', 'x'), 'a: Duplicate value: "x"'],
    [forbiddenField('a', 'no'), 'a: Forbidden: no'],
    [notSupported('a', 'x', ['b', 'c']), 'a: Unsupported value: "x": supported values: "b", "c"'],
    [tooLong('a', 63), 'a: Too long: may not be more than 63 bytes'],
    [tooMany('a', 5, 3), 'a: Too many: 5: must have at most 3 items'],
    [invalidField('a', undefined, 'no'), 'a: Invalid value: null: no'],
    [invalidField('a', null, 'no'), 'a: Invalid value: null: no'],
    [invalidField('a', { b: [true] }, 'no'), 'a: Invalid value: {"b":[true]}: no'],
    [invalidField('a', false, 'no'), 'a: Invalid value: false: no'],
  ] as const;
  for (const [error, text] of cases) assert.equal(formatFieldError(error), text);
});

test('an error is told by its reason, also after a trip over the wire', () => {
  const error = fromStatus(JSON.parse(JSON.stringify(notFound(pods, 'web').status)));
  assert.ok(isReason(error, 'NotFound'));
  assert.ok(!isReason(error, 'Conflict'));
  assert.ok(!isReason(new Error('NotFound'), 'NotFound'));
});
