/**
 * The commands and their flags, as data for the command-line library. What a command does is passed
 * in by `main.ts`; the meaning of a flag is in `config.ts`.
 */
import { Command, Option } from '#kit/command-line.ts';
import { addKubeletFlags } from '../kubelet-settings/kubelet-flags.ts';
import type { AgentFlags } from '../settings/agent-config.ts';
import type { Flags } from '../settings/config.ts';
import { addControllerManagerFlags } from '../settings/controller-manager-flags.ts';
import type { HollowFlags } from '../settings/hollow-settings.ts';
import { addServerFlags } from '../settings/server-flags.ts';
import type { SchedulerFlags } from './scheduler-command.ts';
import type { TokenFlags } from './token-command.ts';
import type { WhyFlags } from './why-command.ts';

export interface ImageBuildOptions {
  readonly from: string;
  readonly reference: string;
  readonly output: string;
}

export interface InstallFlags extends Flags {
  readonly name: string;
  readonly start?: boolean;
}

export type TokenAction =
  | { readonly do: 'print' | 'create' | 'list' }
  | { readonly do: 'delete'; readonly token: string };

export interface Commands {
  readonly version: string;
  up(flags: Flags): Promise<void>;
  server(flags: Flags): Promise<void>;
  agent(flags: AgentFlags): Promise<void>;
  /** As texts, by names in camel case. */
  kubelet(options: Readonly<Record<string, string | true>>): Promise<void>;
  /** Prints the server's own token, or does what it is told about further ones. */
  token(action: TokenAction, flags: TokenFlags): Promise<void>;
  down(flags: Flags): Promise<void>;
  status(flags: Flags): Promise<void>;
  reset(flags: Flags, yes: boolean): Promise<void>;
  backup(flags: Flags, file: string): Promise<void>;
  restore(flags: Flags, file: string): Promise<void>;
  bundle(flags: Flags, file: string): Promise<void>;
  storeGet(flags: Flags, key: string): Promise<void>;
  storeDelete(flags: Flags, key: string): Promise<void>;
  install(flags: InstallFlags, upFlags: readonly string[]): Promise<void>;
  uninstall(flags: InstallFlags): Promise<void>;
  hollow(flags: HollowFlags): Promise<void>;
  scheduler(flags: SchedulerFlags): Promise<void>;
  /** As texts, by names in camel case. */
  controllerManager(options: Readonly<Record<string, string | true>>): Promise<void>;
  why(target: string, flags: WhyFlags): Promise<void>;
  imageBuild(options: ImageBuildOptions): Promise<void>;
  imageLoad(flags: Flags, files: readonly string[]): Promise<void>;
  imageList(flags: Flags): Promise<void>;
}

/** Flags of many are known where `args` has them. */
export function openCommandLine(commands: Commands, args: readonly string[]): Command {
  const program = new Command('coracle')
    .description('Kubernetes, whole, in TypeScript')
    .version(commands.version)
    .showHelpAfterError();
  addClusterFlags(
    program.command('up').description('run a whole cluster on this machine'),
    args,
  ).action((flags: Flags) => commands.up(flags));
  addClusterFlags(program.command('server').description('run the control plane only'), args).action(
    (flags: Flags) => commands.server(flags),
  );
  addAgentFlags(
    program.command('agent').description('join a cluster with this machine as a node'),
  ).action((flags: AgentFlags) => commands.agent(flags));
  addKubeletFlags(
    program.command('kubelet').description('run the kubelet alone, for any API server'),
  ).action((options: Readonly<Record<string, string | true>>) => commands.kubelet(options));
  addTokenCommands(program, commands);
  addDataDir(program.command('down').description('stop the cluster of a data dir'))
    .option('--leave-pods', 'leave the pods running')
    .action((flags: Flags) => commands.down(flags));
  addDataDir(program.command('status').description('show a running cluster')).action(
    (flags: Flags) => commands.status(flags),
  );
  addDataDir(program.command('reset').description('stop it and delete everything it made'))
    .option('--yes', 'do not ask')
    .action((flags: Flags & { readonly yes?: boolean }) =>
      commands.reset(flags, flags.yes ?? false),
    );
  addDataDir(program.command('backup').description('copy the store to a new file'))
    .argument('<file>')
    .action((file: string, flags: Flags) => commands.backup(flags, file));
  addDataDir(program.command('restore').description('put a copy in the place of the store'))
    .argument('<file>')
    .action((file: string, flags: Flags) => commands.restore(flags, file));
  addDataDir(program.command('bundle').description('gather what tells of a fault into a .tar.gz'))
    .argument('<file>')
    .action((file: string, flags: Flags) => commands.bundle(flags, file));
  addStoreCommands(program, commands);
  addDataDir(program.command('uninstall').description('end the service; its data stay'))
    .option('--name <name>', 'name of the service', 'coracle')
    .action((flags: InstallFlags) => commands.uninstall(flags));
  program
    .command('install')
    .description('run the cluster as a service from the start of this machine on')
    .argument('[flags...]', 'flags of up, after --, for the service')
    .option('--name <name>', 'name of the service', 'coracle')
    .option('--no-start', 'only write its files')
    .action((upFlags: readonly string[], flags: InstallFlags) => commands.install(flags, upFlags));
  addHollowFlags(
    program.command('hollow').description('join a cluster with nodes that run no containers'),
  ).action((flags: HollowFlags) => commands.hollow(flags));
  addSchedulerFlags(
    program.command('kube-scheduler').description('run a scheduler alone, for any cluster'),
  ).action((flags: SchedulerFlags) => commands.scheduler(flags));
  addControllerManagerFlags(
    program
      .command('kube-controller-manager')
      .description('run the controllers alone, for any cluster'),
    args,
  ).action((options: Readonly<Record<string, string | true>>) =>
    commands.controllerManager(options),
  );
  addWhyCommand(program, commands);
  addImageCommands(program, commands);
  return program;
}

/** The same text that `up` would be given, read in the same way. */
export function readUpFlags(args: readonly string[]): Flags {
  const command = addClusterFlags(new Command('up'), args).showHelpAfterError();
  return command.parse([...args], { from: 'user' }).opts();
}

const verbosityHelp = 'how much is logged; 2: events, 4: rounds, requests; 6: those sent, too';
const logHelp = 'log to standard error, not into files of the data dir';
const kubeletHelp = 'KubeletConfiguration of the node: what is about the node and its pods';
const registryHelp =
  'registries.yaml, or a folder of hosts.toml (default /etc/coracle/registries.yaml)';

function addDataDir(command: Command): Command {
  return command.option('--data-dir <dir>', 'where the cluster keeps everything');
}

function addClusterFlags(command: Command, args: readonly string[]): Command {
  return addServerFlags(addDataDir(command), args)
    .option('--api-port <port>', 'port of the API server (default 6443)')
    .option('--bind-address <address>', 'address it listens on (default 0.0.0.0)')
    .option('--store <store>', 'sqlite or memory (default sqlite)')
    .option('--node <kind>', 'containerd, hollow or none (default: what this machine can do)')
    .option('--nodes <n>', 'number of hollow nodes (default 1)')
    .option('--node-name <name>', 'name of the node (default: host name)')
    .option(
      '--node-ip <address>',
      'address of the node, or IPV4,IPV6 (default: first of this machine)',
    )
    .option(
      '--cluster-cidr <range>',
      'addresses of pods, one of IPv6 after a comma (default 10.42.0.0/16)',
    )
    .option(
      '--service-cidr <range>',
      'addresses of Services, one of IPv6 after a comma (default 10.43.0.0/16)',
    )
    .option('--service-node-port-range <ports>', 'ports of NodePort Services (30000-32767)')
    .option('--tls-san <name...>', 'more names and addresses in the API certificate')
    .option(
      '--runtime-config <list>',
      'versions that are on and off, as batch/v1=false,api/legacy=false',
    )
    .option('--scheduler-config <file>', 'KubeSchedulerConfiguration of the scheduler')
    .option('--kubelet-config <file>', kubeletHelp)
    .option('--images <dir...>', 'more folders of image archives to load at start')
    .option('--private-registry <file>', registryHelp)
    .option('--image-credential-provider-config <file>', 'CredentialProviderConfig, or a folder')
    .option('--image-credential-provider-bin-dir <dir>', 'where its programs are')
    .option('--backup-interval <time>', 'time between copies of the store, 0 for none (24h)')
    .option('--backup-keep <n>', 'copies of the store that are kept (7)')
    .option('--encryption-provider-config <file>', 'EncryptionConfiguration: what is encrypted')
    .option('--encryption-provider-config-automatic-reload [bool]', 'look at it every minute')
    .addOption(new Option('--experimental-encryption-provider-config <file>').hideHelp())
    .option('--shutdown-delay-duration <time>', 'serve on for this long when stopping (0s)')
    .option('--leader-elect', 'controllers hold a Lease, so that others may wait')
    .option('--no-kubeconfig', 'leave the kubeconfig of the user alone')
    .option('--leave-pods', 'leave the pods running when the cluster stops')
    .option('-v, --v <n>', verbosityHelp)
    .option('--logtostderr [bool]', logHelp);
}

function addAgentFlags(command: Command): Command {
  return addDataDir(command)
    .option('--server <url>', 'API server of the cluster, as https://10.0.0.1:6443')
    .option('--token <token>', 'what "coracle token" prints on the server')
    .option('--node-name <name>', 'name of the node (default: host name)')
    .option(
      '--node-ip <address>',
      'address of the node, or IPV4,IPV6 (default: the one towards the server)',
    )
    .option('--images <dir...>', 'more folders of image archives to load at start')
    .option('--private-registry <file>', registryHelp)
    .option('--image-credential-provider-config <file>', 'CredentialProviderConfig, or a folder')
    .option('--image-credential-provider-bin-dir <dir>', 'where its programs are')
    .option('--kubelet-config <file>', kubeletHelp)
    .option('--leave-pods', 'leave the pods running when the node stops')
    .option('-v, --v <n>', verbosityHelp)
    .option('--logtostderr [bool]', logHelp);
}

function addTokenCommands(program: Command, commands: Commands): void {
  const token = addDataDir(
    program.command('token').description('print the token with which nodes join'),
  ).action((flags: TokenFlags) => commands.token({ do: 'print' }, flags));
  addDataDir(token.command('create').description('make a further token'))
    .option('--ttl <time>', 'how long it holds, 0 for ever (default 24h)')
    .option('--description <text>', 'what it is for')
    .action((_flags: TokenFlags, command: Command) =>
      commands.token({ do: 'create' }, command.optsWithGlobals()),
    );
  addDataDir(token.command('list').description('list the tokens')).action(
    (_flags: TokenFlags, command: Command) =>
      commands.token({ do: 'list' }, command.optsWithGlobals()),
  );
  addDataDir(token.command('delete').description('make a token worthless'))
    .argument('<token>', 'the token, or its id')
    .action((text: string, _flags: TokenFlags, command: Command) =>
      commands.token({ do: 'delete', token: text }, command.optsWithGlobals()),
    );
}

function addStoreCommands(program: Command, commands: Commands): void {
  const store = program.command('store').description('look at what lies in the store');
  addDataDir(store.command('get').description('write a value as it is kept, below its key'))
    .argument('<key>', 'as /registry/secrets/default/NAME')
    .action((key: string, flags: Flags) => commands.storeGet(flags, key));
  addDataDir(store.command('delete').description('remove a value that cannot be read any more'))
    .argument('<key>', 'as /registry/secrets/default/NAME')
    .action((key: string, flags: Flags) => commands.storeDelete(flags, key));
}

function addHollowFlags(command: Command): Command {
  return command
    .option('--kubeconfig <file>', 'the cluster to join (default: $KUBECONFIG, ~/.kube/config)')
    .option('--context <name>', 'context of the kubeconfig (default: the current one)')
    .option('--nodes <n>', 'number of nodes (default 1)')
    .option('--prefix <text>', 'stem of their names (default hollow-)')
    .option('--first <n>', 'number of the first one (default 0)')
    .option('--capacity <list>', 'cpu=8,memory=32Gi,ephemeral-storage=100Gi,pods=110')
    .option('--labels <list>', 'more labels, as disk=ssd,pool=test')
    .option('--taints <list>', 'taints, as key=value:NoSchedule,other:NoExecute')
    .option('--zones <list>', 'zones, given to the nodes in turn')
    .option('--start-delay <time>', 'until the containers of a pod run (default 200ms)')
    .option('--ready-delay <time>', 'until they are ready then (default 0s)')
    .option('--stop-delay <time>', 'until they have stopped (default 200ms)')
    .option('--job-duration <time>', 'pods of Jobs end well after this (default: never)')
    .option('--fail-starts <share>', 'of starts that fail, 0 to 1 (default 0)')
    .option('--fail-pulls <share>', 'of pods whose images cannot be pulled at first (default 0)')
    .option('--missing-images <list>', 'images that are nowhere, as nginx:1.91,typo')
    .option('--crashes-per-hour <n>', 'of a running container (default 0)')
    .option('--flaps-per-hour <n>', 'losses of readiness of a container (default 0)')
    .option('-v, --v <n>', verbosityHelp);
}

/** Names and defaults are upstream's. */
function addSchedulerFlags(command: Command): Command {
  return command
    .option('--kubeconfig <file>', 'the cluster (default: that of the pod it runs in)')
    .option('--master <url>', 'address of the API server, instead of the one of the kubeconfig')
    .option('--config <file>', 'a KubeSchedulerConfiguration')
    .option('--leader-elect [bool]', 'schedule only while holding the Lease (default true)')
    .option('--leader-elect-resource-name <name>', 'of the Lease (default kube-scheduler)')
    .option('--leader-elect-resource-namespace <name>', 'of the Lease (default kube-system)')
    .option('--bind-address <address>', 'where health and figures are told (default 0.0.0.0)')
    .option('--secure-port <port>', 'their port; 0: none (default 10259)')
    .option('-v, --v <n>', verbosityHelp)
    .option('--logging-format <format>', 'text or json (default text)');
}

function addWhyCommand(program: Command, commands: Commands): void {
  program
    .command('why')
    .description('say why a pod is pending and what would help')
    .argument('<pod>', 'pod/NAME')
    .option('-n, --namespace <name>', 'namespace of the pod (default: default)')
    .option('--kubeconfig <file>', 'file with the cluster (default: $KUBECONFIG, ~/.kube/config)')
    .option('--context <name>', 'context of that file (default: its current one)')
    .option('-o, --output <format>', 'text or json (default text)')
    .action((target: string, flags: WhyFlags) => commands.why(target, flags));
}

function addImageCommands(program: Command, commands: Commands): void {
  const image = program.command('image').description('make and load container images');
  image
    .command('build')
    .description('make an image archive without a daemon')
    .requiredOption('--from <source>', 'a folder, or a recipe: busybox, nginx')
    .requiredOption('--output <file>', 'archive to write (OCI layout in a tar)')
    .option('--reference <name>', 'name of the image, as localhost/web:1', '')
    .action((options: ImageBuildOptions) => commands.imageBuild(options));
  addDataDir(image.command('load').description('load archives into a running cluster'))
    .argument('<files...>')
    .action((files: readonly string[], flags: Flags) => commands.imageLoad(flags, files));
  addDataDir(image.command('ls').description('list the images of a running cluster')).action(
    (flags: Flags) => commands.imageList(flags),
  );
}
