/** Flags of the kernel that a kubelet sets, or only looks at. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { ensureKernelDefaults } from './kernel-defaults.ts';

function kernel(flags: Record<string, string>, { isReadOnly = false } = {}) {
  const written: string[] = [];
  const files = {
    read: (path: string) => flags[path.slice('/proc/sys/'.length)],
    write: (path: string, text: string) => {
      if (isReadOnly) throw new Error('EROFS');
      written.push(`${path}=${text}`);
    },
  };
  return { deps: { files, log: silentLog }, written };
}

const odd = {
  'vm/overcommit_memory': '0\n',
  'vm/panic_on_oom': '0\n',
  'kernel/panic': '0\n',
  'kernel/panic_on_oops': '1\n',
};

test('what is otherwise is set, where the kernel has it', () => {
  const { deps, written } = kernel(odd);
  ensureKernelDefaults(deps, { protects: false });
  assert.deepEqual(written, ['/proc/sys/vm/overcommit_memory=1', '/proc/sys/kernel/panic=10']);
  ensureKernelDefaults(kernel(odd, { isReadOnly: true }).deps, { protects: false });
});

test('a kubelet that protects the defaults refuses others, and changes nothing', () => {
  const { deps, written } = kernel(odd);
  assert.throws(() => ensureKernelDefaults(deps, { protects: true }), {
    message:
      'failed to start ContainerManager: [invalid kernel flag: vm/overcommit_memory, ' +
      'expected value: 1, actual value: 0, ' +
      'invalid kernel flag: kernel/panic, expected value: 10, actual value: 0]',
  });
  assert.deepEqual(written, []);
  const good = kernel({ ...odd, 'vm/overcommit_memory': '1', 'kernel/panic': '10' });
  ensureKernelDefaults(good.deps, { protects: true });
});
