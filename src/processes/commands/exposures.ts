import { Command } from "commander";
import { readJsonlLog } from "../../adapters/event-log/read-log.js";
import { ExposureJoin } from "../../core/experiment/exposure.js";
import { EXIT } from "../exit.js";
import { lineOutput } from "../line-output.js";

export function exposuresCommand(): Command {
  return new Command("exposures")
    .description(
      "Join assignments and predictions: one exposure per line on stdout, the counts on stderr.",
    )
    .argument("<log...>", "assignment and prediction log files or folders")
    .action(async (logs: readonly string[]) => {
      const join = new ExposureJoin();
      const output = lineOutput(process.stdout);
      const unread = { torn: 0, invalid: 0 };
      for await (const entry of readJsonlLog(logs)) {
        if (entry.kind !== "event") {
          unread[entry.kind]++;
          continue;
        }
        for (const exposure of join.add(entry.event)) await output.line(JSON.stringify(exposure));
      }
      await output.end();
      process.stderr.write(`${JSON.stringify({ ...join.finish(), ...unread })}\n`);
      if (unread.invalid > 0) process.exitCode = EXIT.differs;
    });
}
