/** What `coracle why` prints. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPlacement, why } from './why-command.ts';

test('one line says why, one what would help, a table the rest', () => {
  const objection = (plugin: string, reason: string, remedy: string) => ({
    plugin,
    reasons: [reason],
    remedies: [remedy],
    preemptable: false,
  });
  const fit = objection('NodeResourcesFit', 'Insufficient cpu', '300m less cpu');
  const taint = objection('TaintToleration', 'node(s) had untolerated taint(s)', 'tolerate k');
  const text = formatPlacement('default/web', {
    state: 'Unschedulable',
    message: '0/2 nodes are available: …',
    nodes: [
      { name: 'node-1', fits: false, objections: [taint, fit] },
      { name: 'n2', fits: false, objections: [fit] },
    ],
    smallestChange: { node: 'n2', changes: ['300m less cpu'] },
  });
  assert.equal(
    text,
    [
      'pod default/web is pending: 0/2 nodes are available: …',
      'would fit on n2 with: 300m less cpu',
      '',
      'NODE     RULE               WHY NOT                            WOULD HELP',
      'node-1   TaintToleration    node(s) had untolerated taint(s)   tolerate k',
      '         NodeResourcesFit   Insufficient cpu                   300m less cpu',
      'n2       NodeResourcesFit   Insufficient cpu                   300m less cpu',
    ].join('\n'),
  );
});

test('only pods are asked about', async () => {
  const none = { kubeconfig: undefined };
  await assert.rejects(why('service/web', {}, none), /must name a pod, as pod\/web/);
  await assert.rejects(why('pod/', {}, none), /must name a pod/);
  await assert.rejects(why('web', { output: 'xml' }, none), /--output xml: must be text or json/);
});
