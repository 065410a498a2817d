import { readFile } from "node:fs/promises";
import { Command } from "commander";
import { parsePolicy } from "../../adapters/policy-file/load-policy.js";
import { readConfigNode } from "../../adapters/yaml/read-config-node.js";
import { writeYaml } from "../../adapters/yaml/write-yaml.js";
import { importConfigs, type DomainInput } from "../../core/rate-limit/import/import-config.js";
import type { Plain } from "../../core/render/rendered-document.js";
import { API_VERSION } from "../../schema/policy.js";
import { EXIT, ExitError } from "../exit.js";
import { writeOutput } from "../write-output.js";

type Flags = { readonly output?: string; readonly name: string; readonly mergeDomains?: true };

export function importCommand(): Command {
  const ratelimit = new Command("ratelimit")
    .description("Turn descriptor files of envoyproxy/ratelimit into a policy.")
    .argument("<file...>", "configuration files of that project")
    .option("-o, --output <file>", "the policy; default: standard output")
    .option("--name <name>", "metadata.name of the policy", "imported")
    .option("--merge-domains", "files may add to the domain of another")
    .action(async (files: readonly string[], flags: Flags) => {
      await writeOutput(flags.output, policyText(await importedDomains(files, flags), flags));
    });
  return new Command("import")
    .description("Take over what another system was configured with.")
    .addCommand(ratelimit);
}

async function importedDomains(
  files: readonly string[],
  { mergeDomains }: Flags,
): Promise<readonly DomainInput[]> {
  const texts = await Promise.all(files.map(readText));
  const read = texts.map((text, at) => readConfigNode(files[at] ?? "", text));
  const mergesDomains = mergeDomains === true;
  const { domains, notes } = importConfigs(
    read.map(({ root }) => root),
    { mergesDomains },
  );
  const lines = read.map(({ issues, locate }, at) => {
    const linesOf = (kind: "issues" | "warnings") =>
      (notes[at]?.[kind] ?? []).map(({ offset, message }) => `${locate(offset)} ${message}`);
    return {
      mistakes: issues.length > 0 ? issues : linesOf("issues"),
      warnings: linesOf("warnings"),
    };
  });
  const mistakes = lines.flatMap((one) => one.mistakes);
  if (mistakes.length > 0) throw new ExitError(EXIT.badConfiguration, mistakes.join("\n"));
  for (const { warnings } of lines) {
    for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
  }
  return domains;
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const because = error instanceof Error ? error.message : String(error);
    throw new ExitError(EXIT.badConfiguration, `${file}: cannot be read: ${because}`);
  }
}

/** What is written is a policy: what that project takes and we do not is said here, and not later. */
function policyText(rateLimits: readonly DomainInput[], { name }: Flags): string {
  const root = { apiVersion: API_VERSION, kind: "ServingPolicy", metadata: { name }, rateLimits };
  const header = ["Written by weir import ratelimit."];
  const text = writeYaml({ header, root: root as unknown as Plain, comments: [] });
  const loaded = parsePolicy("policy", text);
  if (loaded.kind === "loaded") return text;
  const message = `what is configured there no policy can say:\n${loaded.mistakes.join("\n")}`;
  throw new ExitError(EXIT.badConfiguration, message);
}
