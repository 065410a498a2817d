import { Command } from "commander";
import { loadPolicy } from "../../adapters/policy-file/load-policy.js";
import type { LoadedPolicy } from "../../adapters/policy-file/load-policy.js";
import { EXIT } from "../exit.js";

export function checkCommand(): Command {
  return new Command("check")
    .description("Check policy files; every mistake at once, with its position and the remedy.")
    .argument("<file...>", "policy files")
    .option("--json", "print one JSON array instead of text")
    .action(async (files: readonly string[], options: { readonly json?: true }) => {
      const results = await Promise.all(
        files.map(async (file) => ({ file, loaded: await loadPolicy(file) })),
      );
      const lines = options.json
        ? [
            JSON.stringify(
              results.map(({ file, loaded }) => asJson(file, loaded)),
              null,
              2,
            ),
          ]
        : results.flatMap(({ file, loaded }) => asText(file, loaded));
      process.stdout.write(`${lines.join("\n")}\n`);
      const bad = results.some(({ loaded }) => loaded.kind === "refused");
      if (bad) process.exitCode = EXIT.badConfiguration;
    });
}

function asJson(file: string, loaded: LoadedPolicy) {
  return loaded.kind === "loaded"
    ? { file, ok: true, policy: loaded.policy.version, warnings: loaded.warnings, mistakes: [] }
    : { file, ok: false, policy: null, warnings: [], mistakes: loaded.mistakes };
}

function asText(file: string, loaded: LoadedPolicy): readonly string[] {
  if (loaded.kind === "refused") {
    const count = loaded.mistakes.length;
    return [...loaded.mistakes, `${file}: ${count} ${count === 1 ? "mistake" : "mistakes"}`];
  }
  const { models, experiments, shadows, limits, rateLimits } = loaded.policy.source;
  const warnings = loaded.warnings.map((warning) => `warning: ${warning}`);
  const domains = rateLimits === undefined ? "" : `, ${rateLimits.length} domains of rateLimits`;
  return [
    ...warnings,
    `${file}: ok, policy ${loaded.policy.version}: ${models.length} models, ${experiments.length} experiments, ${shadows.length} shadows, ${limits.length} limits${domains}`,
  ];
}
