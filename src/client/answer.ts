/**
 * What an answer that is an error stands for: always an `ApiError`, whether the body is a Status,
 * as the API server writes it, or the words of something in between. Used by `client.ts`.
 */
import { type ApiError, fromStatus, type Status, type StatusReason } from '#api/errors.ts';

const textLengthMax = 1024;

export function errorOfAnswer(code: number, body: Uint8Array): ApiError {
  const text = new TextDecoder().decode(body);
  const parsed = parseJson(text);
  if (isStatus(parsed)) return fromStatus({ ...parsed, code: parsed.code || code });
  return fromStatus(plainStatus(code, text.slice(0, textLengthMax).trim()));
}

/** The object of an ERROR event in a watch. */
export function errorOfStatus(object: unknown): ApiError {
  if (isStatus(object)) return fromStatus(object);
  return fromStatus(plainStatus(500, 'the watch ended with an error that is no Status'));
}

function plainStatus(code: number, text: string): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: text === '' ? `the server answered ${code}` : text,
    reason: reasonsByCode[code] ?? '',
    code,
  };
}

const reasonsByCode: Readonly<Record<number, StatusReason>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Expired',
  413: 'RequestEntityTooLarge',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

function isStatus(value: unknown): value is Status {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Status';
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
