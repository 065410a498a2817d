import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { ServiceError } from "../core/error.js";
import type { Stage } from "./stage.js";

const CLI = fileURLToPath(new URL("../processes/cli.js", import.meta.url));

/** Starts a program of this very build and waits for its ready line: addresses by name. */
export async function startWeir(
  { start, folder }: Stage,
  args: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  const child = start(process.execPath, [CLI, ...args], folder);
  const line = await Promise.race([firstLine(child.stdout), child.exited]);
  if (line !== undefined) return JSON.parse(line) as Readonly<Record<string, string>>;
  throw new ServiceError(
    "dependencyDown",
    `weir ${args[0] ?? ""} ended before it was ready:\n${child.stderr()}`,
  );
}

async function firstLine(stream: Readable): Promise<string | undefined> {
  const lines = createInterface({ input: stream });
  for await (const line of lines) {
    // The pipe must be read on, or the child would block when it is full.
    stream.resume();
    return line;
  }
  return undefined;
}
