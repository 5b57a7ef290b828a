/**
 * The one file that knows the command-line library (decision 0005).
 */
export { Command, Option } from 'commander';
