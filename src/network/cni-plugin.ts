/**
 * What the container runtime finds on disk: a network configuration, and two executables that it
 * runs for each pod. `coracle` forwards the call to our unix socket and takes the answer back;
 * `loopback` answers by itself, since the pod's `lo` is brought up by the other one.
 *
 * The forwarder is Perl without modules: every Debian has it, and it takes 2 ms where `curl` takes
 * 6 and a Node script 60. It speaks the smallest protocol that works (`plugin-connection.ts`): it
 * sends the call, then does what each line that comes back says. `kernel` has it send messages to
 * the kernel (`netlink.ts`), from the node or from inside the pod's namespace; `exit` ends it.
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
  const setNamespace = setNamespaceCalls[process.arch];
  assert(setNamespace !== undefined, 'the number of setns is known for this processor');
  return `#!/usr/bin/perl
# Hands a CNI call to the node agent. Written anew at each start of the agent.
my (%kernel, $node, $namespace);
$SIG{ALRM} = sub { no_answer() }; alarm 60;
sub no_answer { print '${refusal}'; exit 1 }
socket(S, 1, 1, 0) and connect(S, pack('S a108', 1, '${socketPath}')) or no_answer();
$_ = select(S); $| = 1; select($_);
my $call = join '', map { "$_=$ENV{$_}\\n" } grep { /^CNI_/ } sort keys %ENV;
$call .= "\\n" . do { local $/; scalar <STDIN> };
print S length($call), "\\n", $call;
while (defined(my $line = <S>)) {
  chomp $line;
  my ($what, $where, @messages) = split / /, $line;
  if ($what eq 'exit') { local $/; print scalar <S>; exit $where }
  print S tell_kernel($where, @messages), "\\n";
}
no_answer();

# Which message was refused, and the error's number; or ok.
sub tell_kernel {
  my ($where, @messages) = @_;
  my $count = 0;
  # The agent's network is the node's, whatever the runtime's is; sockets stay where they were made.
  $kernel{node} ||= open($node, '<', '/proc/${process.pid}/ns/net') && enter($node)
    or return '0 ' . ($! + 0);
  $kernel{pod} ||= defined open_namespace() && enter($namespace) or return '0 ' . ($! + 0)
    if $where eq 'pod';
  my ($netlink, $plain) = @{$kernel{$where}};
  for (@messages) {
    my ($hex, @blanks) = split /@/;
    my $message = pack 'H*', $hex;
    for (@blanks) {
      my ($at, $what) = split /=/;
      my $value = $what eq '/' ? open_namespace() : index_of($plain, $what);
      return "$count " . ($! + 0) unless defined $value;
      substr($message, $at, 4) = pack 'l', $value;
    }
    my $reply;
    send($netlink, $message, 0) && defined recv($netlink, $reply, 65536, 0)
      or return "$count " . ($! + 0);
    my (undef, $type, undef, undef, undef, $error) = unpack 'L S S L L l', $reply;
    return "$count " . -$error if $type == 2 && $error != 0;
    $count++;
  }
  return 'ok';
}
sub enter {
  syscall(${setNamespace}, fileno($_[0]) + 0, 0x40000000) == 0 or return undef;
  socket(my $netlink, 16, 3, 0) && socket(my $plain, 2, 2, 0) or return undef;
  [$netlink, $plain];
}
sub open_namespace {
  defined $namespace or open($namespace, '<', $ENV{CNI_NETNS}) or return undef;
  fileno $namespace;
}
sub index_of {
  my ($plain, $name) = @_;
  my $request = pack 'a16 x24', $name;
  ioctl($plain, 0x8933, $request) ? unpack('x16 l', $request) : undef;
}
`;
}

/** The kernel's number of setns(2), by processor. */
const setNamespaceCalls: Readonly<Record<string, number>> = { x64: 308, arm64: 268 };

/** The runtime asks for `lo` in a network of its own, in its own version of the format. */
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
