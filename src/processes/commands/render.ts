import { join } from "node:path";
import { Command, Option } from "commander";
import { writeKubernetesYaml, writeYaml } from "../../adapters/yaml/write-yaml.js";
import { renderEnvoy } from "../../core/render/envoy/render-envoy.js";
import { istioIssues } from "../../core/render/istio/istio-issues.js";
import { renderIstio } from "../../core/render/istio/render-istio.js";
import { EXIT, ExitError } from "../exit.js";
import { requirePolicy } from "../policy-option.js";
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
    const { source, headersRead } = await requirePolicy(file);
    return writeYaml(renderEnvoy(source, { ...options, headersRead }));
  },
  istio: async (file, flags) => {
    const options = istioOptions(flags);
    const demands = (policy: Parameters<typeof istioIssues>[0]) => istioIssues(policy, options);
    const { source, headersRead } = await requirePolicy(file, new Map(), demands);
    return writeKubernetesYaml(renderIstio(source, { ...options, headersRead }));
  },
};

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
