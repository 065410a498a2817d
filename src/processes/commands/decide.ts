import { createInterface } from "node:readline";
import { Command } from "commander";
import { memoryLimitStore } from "../../adapters/memory/limit-store.js";
import { systemClock } from "../../adapters/system/clock.js";
import { decideAndCharge } from "../../app/handle-request.js";
import { readFacts } from "../../app/read-facts.js";
import { ServiceError } from "../../core/error.js";
import { EXIT, ExitError } from "../exit.js";
import { lineOutput } from "../line-output.js";
import {
  overrideKeyOption,
  policyOption,
  readOverrideKeys,
  requirePolicy,
} from "../policy-option.js";

type Options = { readonly policy: string; readonly overrideKey?: readonly string[] };

const MAX_KEYS = 1_000_000;

export function decideCommand(): Command {
  return new Command("decide")
    .description(
      "Decide requests offline: one JSON object of facts per line on stdin, one decision per line on stdout.",
    )
    .addOption(policyOption())
    .addOption(overrideKeyOption())
    .action(async (options: Options) => {
      const policy = await requirePolicy(
        options.policy,
        await readOverrideKeys(options.overrideKey),
      );
      const limits = memoryLimitStore(MAX_KEYS);
      const output = lineOutput(process.stdout);
      let lineNumber = 0;
      let bad = 0;
      for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
        lineNumber++;
        if (line.trim() === "") continue;
        let answer: unknown;
        try {
          answer =
            decideAndCharge(policy, limits, readFacts(line), systemClock.nowMs()) ??
            passThrough(policy.version);
        } catch (error) {
          bad++;
          answer = { error: `line ${lineNumber}: ${ServiceError.from(error).message}` };
        }
        await output.line(JSON.stringify(answer));
      }
      await output.end();
      if (bad > 0) {
        throw new ExitError(
          EXIT.badConfiguration,
          `${bad} of ${lineNumber} lines were no request facts`,
        );
      }
    });
}

/** No model matches: nothing is decided. */
const passThrough = (policy: string) => ({
  model: null,
  version: null,
  arms: [],
  shadow: null,
  limits: [],
  policy,
});
