/**
 * One question, one answer: names of the cluster from `records.ts`, aliases followed to their end,
 * everything else through `forward.ts`. Knows nothing of sockets; `server.ts` calls it.
 */

import type { Via } from './forward.ts';
import { authorityRecord, lookUp, type RecordSource, type Zone } from './records.ts';
import {
  type Answer,
  addressRecords,
  codes,
  formatAnswer,
  parseAnswer,
  type Query,
  type Question,
  type Record,
  types,
  udpLimit,
  withoutOption,
} from './wire.ts';

const aliasesMax = 8;
const classInternet = 1;

/** Other name servers, as `Forwarder` asks them. */
export interface Elsewhere {
  /** The query is one of ours that has come back. */
  isOwn(query: Query): boolean;
  ask(
    question: Question,
    options: { readonly via: Via; readonly signal: AbortSignal },
  ): Promise<Buffer | undefined>;
}

export interface ResolverDeps {
  readonly source: RecordSource;
  readonly zone: Zone;
  readonly forwarder: Elsewhere;
}

/** The bytes to send back. */
export async function resolve(
  deps: ResolverDeps,
  query: Query,
  options: { readonly via: Via; readonly signal: AbortSignal },
): Promise<Buffer> {
  const bytesMax = options.via === 'tcp' ? 65_535 : udpLimit(query);
  const reply = (answer: Answer): Buffer => formatAnswer(query, answer, { bytesMax });
  if (query.opcode !== 0 || query.question.class !== classInternet) {
    return reply(refusal(codes.notKnown));
  }
  const first = lookUp(query.question, deps.zone, deps.source);
  if (first.kind === 'foreign') {
    const message = await forward(deps, query, options);
    if (message === undefined) return reply(refusal(codes.failure));
    if (message.length <= bytesMax) return message;
    return reply({ code: codes.ok, authoritative: false, answers: [], truncated: true });
  }
  return reply(await answerOf(deps, query.question, options));
}

/** Follows aliases from one of our names until an address, a dead end or the limit. */
async function answerOf(
  deps: ResolverDeps,
  question: Question,
  options: { readonly via: Via; readonly signal: AbortSignal },
): Promise<Answer> {
  const aliases: Record[] = [];
  let current = question;
  for (let count = 0; count <= aliasesMax; count++) {
    const found = lookUp(current, deps.zone, deps.source);
    if (found.kind === 'foreign') return await foreignEnd(deps, current, aliases, options);
    if (found.kind === 'alias') {
      aliases.push(found.record);
      if (question.type === types.CNAME) return { ...authoritative, answers: aliases };
      current = { ...current, name: found.target };
      continue;
    }
    const answers = [...aliases, ...found.answers];
    const authority = found.answers.length === 0 ? [authorityRecord(deps.zone)] : [];
    return { ...authoritative, code: found.code, answers, authority, additional: found.additional };
  }
  return refusal(codes.failure);
}

async function foreignEnd(
  deps: ResolverDeps,
  question: Question,
  aliases: readonly Record[],
  options: { readonly via: Via; readonly signal: AbortSignal },
): Promise<Answer> {
  const message = await deps.forwarder.ask(question, options);
  const answer = message === undefined ? undefined : parseAnswer(message);
  // The alias is true whatever its target: better told alone than not at all.
  if (message === undefined || answer === undefined) return { ...authoritative, answers: aliases };
  return {
    ...authoritative,
    code: answer.code,
    answers: [...aliases, ...addressRecords(message, answer.answers)],
  };
}

/** The foreign answer under the client's id; undefined where nobody answers. */
async function forward(
  deps: ResolverDeps,
  query: Query,
  options: { readonly via: Via; readonly signal: AbortSignal },
): Promise<Buffer | undefined> {
  if (!query.recursionDesired || deps.forwarder.isOwn(query)) return undefined;
  const message = await deps.forwarder.ask(query.question, options);
  if (message === undefined) return undefined;
  const copy = Buffer.from(message);
  copy.writeUInt16BE(query.id, 0);
  // The client's own spelling of the name.
  copy.set(query.questionBytes, 12);
  return query.udpBytesMax === undefined ? withoutOption(copy) : copy;
}

const authoritative = { code: codes.ok, authoritative: true } as const;

function refusal(code: number): Answer {
  return { code, authoritative: false, answers: [] };
}
