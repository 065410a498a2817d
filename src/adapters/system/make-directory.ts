import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Parents first. Node's own recursive mkdir tries for ever where a parent is there and takes no
 * folders, as in /proc.
 */
export function makeDirectory(directory: string, mode = 0o777): void {
  if (existsSync(directory)) {
    if (!statSync(directory).isDirectory()) throw new Error("it is no directory");
    return;
  }
  const parent = dirname(directory);
  if (parent !== directory) makeDirectory(parent, mode);
  try {
    mkdirSync(directory, { mode });
  } catch (error) {
    // Another process that starts now may have been faster.
    if (!existsSync(directory)) throw error;
  }
}
