/**
 * When history may go, by age and by amount.
 */
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { Retention } from './retention.ts';

const minute = 60_000;

test('the newest mark that is old enough is where history may begin', () => {
  const retention = new Retention({ ageMs: 5 * minute, bytesMax: 1000 });
  retention.mark({ revision: 10, atMs: 0 });
  retention.mark({ revision: 80, atMs: minute });
  retention.mark({ revision: 95, atMs: 6 * minute });
  equal(retention.takeExpired(4 * minute), undefined);
  equal(retention.takeExpired(6.5 * minute), 80);
  equal(retention.takeExpired(6.6 * minute), undefined, 'once is enough');
  equal(retention.takeExpired(11 * minute), 95);
});

test('what was replaced counts too', () => {
  const retention = new Retention({ ageMs: 5 * minute, bytesMax: 1000 });
  retention.mark({ revision: 1, atMs: 0 });
  retention.replaced(600);
  retention.mark({ revision: 2, atMs: 0 });
  retention.replaced(600);
  retention.mark({ revision: 3, atMs: 0 });
  equal(retention.takeExpired(1), 1, 'behind it 1200 bytes were replaced');
  equal(retention.takeExpired(1), undefined);
});

test('a mark is due after a tenth of the age or a sixteenth of the bytes', () => {
  const retention = new Retention({ ageMs: 1000, bytesMax: 1600 });
  equal(retention.isMarkDue(0), true);
  retention.mark({ revision: 1, atMs: 0 });
  equal(retention.isMarkDue(99), false);
  equal(retention.isMarkDue(100), true);
  retention.replaced(99);
  equal(retention.isMarkDue(0), false);
  retention.replaced(1);
  equal(retention.isMarkDue(0), true);
});
