/**
 * The one file that knows the command-line library (decision 0006).
 */
export { Command, Option } from 'commander';
