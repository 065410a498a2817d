import { join } from "node:path";
import { Command, Option } from "commander";
import { writeKubernetesYaml, writeYaml } from "../../adapters/yaml/write-yaml.js";
import type { CompiledPolicy } from "../../core/policy/compiled-policy.js";
import { renderEnvoy } from "../../core/render/envoy/render-envoy.js";
import { fallbackOf, type Fallback } from "../../core/render/fallback/fallback-program.js";
import { istioIssues } from "../../core/render/istio/istio-issues.js";
import { renderIstio } from "../../core/render/istio/render-istio.js";
import type { Policy } from "../../schema/policy.js";
import type { PolicyIssue } from "../../schema/policy-issue.js";
import { EXIT, ExitError } from "../exit.js";
import { requireLoaded } from "../policy-option.js";
import { writeOutput } from "../write-output.js";
import {
  envoyFlags,
  envoyOptions,
  istioFlags,
  istioOptions,
  sharedFlags,
  type EnvoyFlags,
  type IstioFlags,
  type SharedFlags,
} from "./render-flags.js";

type Target = "envoy" | "istio";
type Flags = SharedFlags &
  EnvoyFlags &
  IstioFlags & { readonly target: Target; readonly output?: string };

export function renderCommand(): Command {
  const flags = { shared: sharedFlags(), envoy: envoyFlags(), istio: istioFlags() };
  const command = new Command("render")
    .description("Write the mesh configuration for a policy.")
    .argument("<policy>", "policy file")
    .addOption(
      new Option("--target <mesh>", "what to render for")
        .choices(["envoy", "istio"] satisfies Target[])
        .makeOptionMandatory(),
    )
    .option("-o, --output <dir>", "folder for the file; default: standard output");
  for (const flag of Object.values(flags).flat()) command.addOption(flag);
  return command.action(async (file: string, given: Flags) => {
    refuseFlagsOf(given.target === "envoy" ? "istio" : "envoy", flags, command);
    const { output, target } = given;
    const text = await RENDER[target](file, given);
    const written = output === undefined ? undefined : join(output, `${target}.yaml`);
    await writeOutput(written, text, { makesFolder: true });
  });
}

const RENDER: Readonly<Record<Target, (file: string, flags: Flags) => Promise<string>>> = {
  envoy: async (file, flags) => {
    const options = envoyOptions(flags);
    const { source, ...inputs } = await renderedPolicy(file, options);
    return writeYaml(renderEnvoy(source, { ...options, ...inputs }));
  },
  istio: async (file, flags) => {
    const options = istioOptions(flags);
    const demands = (policy: Policy) => istioIssues(policy, options);
    const { source, ...inputs } = await renderedPolicy(file, options, demands);
    return writeKubernetesYaml(renderIstio(source, { ...options, ...inputs }));
  },
};

/** The policy and what renderers need of its compiled form; warnings go to standard error. */
async function renderedPolicy(
  file: string,
  { failureMode }: Pick<SharedFlags, "failureMode">,
  demands: (policy: Policy) => readonly PolicyIssue[] = () => [],
) {
  let fallback: Fallback = { warnings: [] };
  const warnings = (policy: CompiledPolicy) => {
    if (failureMode === "open") fallback = fallbackOf(policy);
    return fallback.warnings;
  };
  const loaded = await requireLoaded(file, new Map(), { demands, warnings });
  for (const warning of loaded.warnings) process.stderr.write(`warning: ${warning}\n`);
  const { source, headersRead } = loaded.policy;
  return { source, headersRead, fallback: fallback.program };
}

/** A flag without effect would be a setting that somebody believes in. */
function refuseFlagsOf(
  other: Target,
  flags: Readonly<Record<Target, readonly Option[]>>,
  command: Command,
): void {
  const given = flags[other].find(
    (flag) => command.getOptionValueSource(flag.attributeName()) === "cli",
  );
  if (given !== undefined) {
    throw new ExitError(
      EXIT.badConfiguration,
      `${given.long ?? given.flags} is for --target ${other}: leave it out`,
    );
  }
}
