import { readFile } from "node:fs/promises";
import { Option } from "commander";
import { loadPolicy, type LoadedPolicy, type Use } from "../adapters/policy-file/load-policy.js";
import type { CompiledPolicy } from "../core/policy/compiled-policy.js";
import type { Policy } from "../schema/policy.js";
import { EXIT, ExitError } from "./exit.js";

const MIN_KEY_BYTES = 16;

export const policyOption = () =>
  new Option("-p, --policy <file>", "policy file").env("WEIR_POLICY").makeOptionMandatory();

export const overrideKeyOption = () =>
  new Option("--override-key <name=file>", "HMAC key for signed overrides; may be repeated")
    .env("WEIR_OVERRIDE_KEY")
    .argParser((value: string, previous: readonly string[] | undefined) => [
      ...(previous ?? []),
      ...value.split(","),
    ]);

/** Reads NAME=FILE pairs; a final line feed is no part of the key. */
export async function readOverrideKeys(
  pairs: readonly string[] = [],
): Promise<ReadonlyMap<string, Uint8Array>> {
  const keys = new Map<string, Uint8Array>();
  for (const pair of pairs) {
    const [name = "", file = ""] = pair.split(/=(.*)/s);
    if (name === "" || file === "") {
      throw new ExitError(EXIT.badConfiguration, `--override-key ${pair}: write NAME=FILE`);
    }
    keys.set(name, await readKey(name, file));
  }
  return keys;
}

/** Names that the policy trusts as signers, and whose key this process does not have. */
export function keysNotGiven(
  { overrides }: Policy,
  keys: ReadonlyMap<string, Uint8Array>,
): readonly string[] {
  const signers = overrides?.trust.flatMap((one) => ("signed" in one ? [one.signed] : [])) ?? [];
  return signers.filter((name) => !keys.has(name));
}

async function readKey(name: string, file: string): Promise<Uint8Array> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ExitError(EXIT.badConfiguration, `override key ${name}: cannot be read: ${why}`);
  }
  const key = bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
  if (key.length < MIN_KEY_BYTES) {
    throw new ExitError(
      EXIT.badConfiguration,
      `override key ${name} in ${file} has ${key.length} bytes, at least ${MIN_KEY_BYTES} are needed: make one with "openssl rand -hex 32"`,
    );
  }
  return key;
}

/** The policy, or every mistake of the file and exit code 64. */
export async function requirePolicy(
  file: string,
  keys: ReadonlyMap<string, Uint8Array> = new Map(),
): Promise<CompiledPolicy> {
  return (await requireLoaded(file, keys, {})).policy;
}

/** The same for a use that has demands or warnings of its own. */
export async function requireLoaded(
  file: string,
  keys: ReadonlyMap<string, Uint8Array>,
  use: Use,
): Promise<Extract<LoadedPolicy, { readonly kind: "loaded" }>> {
  const loaded = await loadPolicy(file, keys, use);
  if (loaded.kind === "loaded") return loaded;
  throw new ExitError(EXIT.badConfiguration, loaded.mistakes.join("\n"));
}
