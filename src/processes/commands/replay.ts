import { Command, Option } from "commander";
import { readJsonlLog } from "../../adapters/event-log/read-log.js";
import { replay } from "../../app/replay.js";
import type { CompiledPolicy } from "../../core/policy/compiled-policy.js";
import { EXIT } from "../exit.js";
import { lineOutput } from "../line-output.js";
import { requirePolicy } from "../policy-option.js";

type Options = { readonly policy: readonly string[] };

export function replayCommand(): Command {
  return new Command("replay")
    .description("Compute every logged decision again from its line, and report differences.")
    .argument("<log...>", "assignment log files or folders")
    .addOption(
      new Option("-p, --policy <file...>", "policy files that were in force").makeOptionMandatory(),
    )
    .addHelpText(
      "after",
      `\nExit code ${EXIT.differs} when a decision differs or a line is invalid.`,
    )
    .action(async (logs: readonly string[], options: Options) => {
      const policies = new Map<string, CompiledPolicy>();
      for (const file of options.policy) {
        const policy = await requirePolicy(file);
        policies.set(policy.version, policy);
      }
      await replayLogs(logs, policies);
    });
}

async function replayLogs(
  logs: readonly string[],
  policies: ReadonlyMap<string, CompiledPolicy>,
): Promise<void> {
  const counts = { same: 0, different: 0, otherPolicy: 0, error: 0, torn: 0, invalid: 0 };
  const output = lineOutput(process.stdout);
  for await (const entry of readJsonlLog(logs)) {
    if (entry.kind !== "event") {
      counts[entry.kind]++;
      const { file, lineNumber } = entry;
      const issue = entry.kind === "invalid" ? entry.issue : "torn last line";
      await output.line(JSON.stringify({ kind: entry.kind, at: `${file}:${lineNumber}`, issue }));
      continue;
    }
    if (!("facts" in entry.event)) continue;
    const result = replay(policies, entry.event);
    counts[result.kind]++;
    if (result.kind === "different") {
      const { decision } = entry.event;
      await output.line(JSON.stringify({ decision, differences: result.differences }));
    }
  }
  await output.line(JSON.stringify(counts));
  await output.end();
  if (counts.different + counts.invalid > 0) process.exitCode = EXIT.differs;
}
