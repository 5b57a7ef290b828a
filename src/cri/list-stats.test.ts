/** What is asked for again, and how often. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrpcError } from '#kit/grpc.ts';
import { untilNoneGoes } from './list-stats.ts';

const path = '/runtime.v1.RuntimeService/ListContainerStats';
const gone = new GrpcError(
  path,
  'UNKNOWN',
  'failed to decode container metrics for "a": a: not found',
);

/** Answers with what it is given, one after another. */
function answering(...answers: readonly (Error | readonly string[])[]) {
  let asked = 0;
  const list = async (): Promise<readonly string[]> => {
    const answer = answers[Math.min(asked, answers.length - 1)];
    asked += 1;
    if (answer instanceof Error) throw answer;
    return answer ?? [];
  };
  return { list, asked: () => asked };
}

test('a list that one container left meanwhile is asked for again', async () => {
  const { list, asked } = answering(gone, new GrpcError(path, 'NOT_FOUND', 'b'), ['c']);
  assert.deepEqual(await untilNoneGoes(list), ['c']);
  assert.equal(asked(), 3);
});

test('a list that is never whole fails after four tries', async () => {
  const { list, asked } = answering(gone);
  await assert.rejects(untilNoneGoes(list), /not found/);
  assert.equal(asked(), 4);
});

test('what else goes wrong is told at once', async () => {
  const { list, asked } = answering(new GrpcError(path, 'UNAVAILABLE', 'no connection'));
  await assert.rejects(untilNoneGoes(list), /no connection/);
  assert.equal(asked(), 1);
});
