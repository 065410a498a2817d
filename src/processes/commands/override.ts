import { Command, Option } from "commander";
import { systemClock } from "../../adapters/system/clock.js";
import { mintOverrideToken, parseOverride } from "../../core/experiment/override.js";
import { HEADER } from "../../schema/headers.js";
import { Duration } from "../../schema/values.js";
import { EXIT, ExitError } from "../exit.js";
import {
  overrideKeyOption,
  policyOption,
  readOverrideKeys,
  requirePolicy,
} from "../policy-option.js";

type Options = {
  readonly policy: string;
  readonly overrideKey?: readonly string[];
  readonly override: string;
  readonly ttl: string;
  readonly json?: true;
};

export function overrideCommand(): Command {
  const mint = new Command("mint")
    .description("Print the two headers that force an arm until the token expires.")
    .addOption(policyOption())
    .addOption(overrideKeyOption().makeOptionMandatory())
    .addOption(new Option("--override <experiment=arm>", "arms to force").makeOptionMandatory())
    .option("--ttl <duration>", "how long the token is valid, from 1s to 744h", "1h")
    .option("--json", "print a JSON object of headers")
    .action(mintOverride);
  return new Command("override").description("QA overrides.").addCommand(mint);
}

async function mintOverride(options: Options): Promise<void> {
  const policy = await requirePolicy(options.policy);
  const [[keyName, key] = []] = await readOverrideKeys(options.overrideKey);
  if (keyName === undefined || key === undefined) throw bad("--override-key NAME=FILE is needed");
  const { overrides, experiments } = policy.source;
  if (overrides?.trust.some((trust) => "signed" in trust && trust.signed === keyName) !== true) {
    throw bad(
      `policy ${policy.name} does not trust key ${keyName}: add { signed: ${keyName} } to overrides.trust`,
    );
  }
  const arms = parseOverride(options.override);
  if (arms === null) throw bad(`--override ${options.override}: write experiment=arm, other=arm`);
  for (const [name, arm] of arms) {
    const known = experiments.find((experiment) => experiment.name === name)?.arms ?? [];
    if (!known.some((one) => one.name === arm)) {
      throw bad(
        `--override ${name}=${arm}: the policy has no such arm (there: ${experiments.flatMap((one) => one.arms.map((each) => `${one.name}=${each.name}`)).join(", ") || "none"})`,
      );
    }
  }
  const ttlMs = ttlMsOf(options.ttl);
  const token = mintOverrideToken({
    policyName: policy.name,
    keyName,
    key,
    override: options.override,
    // Tokens count in seconds; rounded up, one lives at least as long as was asked for.
    expiresAtMs: Math.ceil((systemClock.nowMs() + ttlMs) / 1000) * 1000,
  });
  const headers = { [overrides.header]: options.override, [HEADER.overrideToken]: token };
  const lines = options.json
    ? [JSON.stringify(headers)]
    : Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  process.stdout.write(`${lines.join("\n")}\n`);
}

function ttlMsOf(text: string): number {
  const ttl = Duration.safeParse(text);
  if (!ttl.success)
    throw bad(`--ttl: ${ttl.error.issues.map(({ message }) => message).join("; ")}`);
  if (ttl.data >= 1000) return ttl.data;
  throw bad(`--ttl ${text}: a token's time is counted in seconds: give at least 1s`);
}

const bad = (message: string) => new ExitError(EXIT.badConfiguration, message);
