/**
 * What the container runtime finds on disk: a network configuration, and two executables that it
 * runs for each pod. `coracle` forwards the call to our unix socket and takes the answer back;
 * `loopback` answers by itself, since the pod's `lo` is brought up by the other one.
 *
 * The forwarder is Perl without modules: every Debian has it, and it takes 2 ms where `curl` takes
 * 6 and a Node script 60. It speaks the smallest protocol that works: environment lines, an empty
 * line, the configuration; back come the exit code on a line of its own, then the answer.
 */
import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { assert } from '#kit/assert.ts';

export const cniVersion = '1.0.0';
export const supportedVersions = ['0.3.0', '0.3.1', '0.4.0', '1.0.0'];

const pluginName = 'coracle';

/** The kernel's limit for the path of a unix socket, without the closing zero byte. */
const socketPathBytesMax = 107;

export interface CniPaths {
  /** For the runtime's `conf_dir`. */
  readonly confDir: string;
  /** For the runtime's `bin_dir`. */
  readonly binDir: string;
  readonly addressDir: string;
  /** Which ports of the node lead to which pod. */
  readonly portDir: string;
  readonly socketPath: string;
}

export function cniPaths(dataDir: string): CniPaths {
  const base = path.join(dataDir, 'agent', 'cni');
  return {
    confDir: path.join(base, 'conf'),
    binDir: path.join(base, 'bin'),
    addressDir: path.join(base, 'addresses'),
    portDir: path.join(base, 'ports'),
    socketPath: path.join(base, 'cni.sock'),
  };
}

/** Writes both executables, then the configuration: with it the runtime says it is ready. */
export function writePlugin(paths: CniPaths, options: { readonly clusterId: string }): void {
  const { socketPath } = paths;
  if (Buffer.byteLength(socketPath) > socketPathBytesMax) {
    throw new Error(
      `the data dir is too deep: a socket's path may have ${socketPathBytesMax} bytes`,
    );
  }
  mkdirSync(paths.binDir, { recursive: true });
  mkdirSync(paths.confDir, { recursive: true });
  writeWhole(path.join(paths.binDir, pluginName), forwarder(socketPath), 0o755);
  writeWhole(path.join(paths.binDir, 'loopback'), loopback, 0o755);
  const configuration = JSON.stringify({
    cniVersion,
    name: `coracle-${options.clusterId}`,
    plugins: [{ type: pluginName, capabilities: { portMappings: true } }],
  });
  writeWhole(path.join(paths.confDir, '10-coracle.conflist'), `${configuration}\n`, 0o644);
}

function forwarder(socketPath: string): string {
  assert(!/['\\]/.test(socketPath), 'the path of a socket has neither quotes nor backslashes');
  const refusal = JSON.stringify({ cniVersion, code: 11, msg: 'the node agent is not running' });
  return `#!/usr/bin/perl
# Hands a CNI call to the node agent. Written anew at each start of the agent.
$SIG{ALRM} = sub { no_answer() }; alarm 60;
sub no_answer { print '${refusal}'; exit 1 }
socket(S, 1, 1, 0) and connect(S, pack('S a108', 1, '${socketPath}')) or no_answer();
$_ = select(S); $| = 1; select($_);
undef $/;
print S map({ "$_=$ENV{$_}\\n" } grep { /^CNI_/ } sort keys %ENV), "\\n", scalar <STDIN>;
shutdown(S, 1);
my ($code, $answer) = split(/\\n/, scalar(<S>), 2);
no_answer() if $code eq '';
print $answer;
exit $code;
`;
}

/** The runtime asks for \`lo\` in a network of its own, in its own version of the format. */
const loopback = `#!/bin/sh
case "$CNI_COMMAND" in
ADD)
  printf '{"cniVersion":"0.3.1","interfaces":[{"name":"lo","sandbox":"%s"}],' "$CNI_NETNS"
  printf '"ips":[{"version":"4","address":"127.0.0.1/8","interface":0}],"dns":{}}\\n'
  ;;
VERSION) echo '${JSON.stringify({ cniVersion, supportedVersions })}' ;;
esac
`;

function writeWhole(file: string, text: string, mode: number): void {
  const partial = `${file}.partial`;
  writeFileSync(partial, text, { mode });
  chmodSync(partial, mode);
  renameSync(partial, file);
}
