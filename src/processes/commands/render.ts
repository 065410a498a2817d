import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Command, Option } from "commander";
import { writeYaml } from "../../adapters/yaml/write-yaml.js";
import { ENVOY_DEFAULTS } from "../../core/render/envoy/options.js";
import { parseHostPort } from "../../core/host-port.js";
import type { EnvoyOptions, ExtProcEndpoint } from "../../core/render/envoy/options.js";
import { renderEnvoy } from "../../core/render/envoy/render-envoy.js";
import { EXIT, ExitError } from "../exit.js";
import { requirePolicy } from "../policy-option.js";

type Options = {
  readonly output?: string;
  readonly listener: string;
  readonly admin: string;
  readonly extproc: readonly string[];
  readonly failureMode: "open" | "closed";
  readonly messageTimeoutMs: string;
  readonly gracefulClose: boolean;
  readonly accessLog?: string;
  readonly passthrough?: string;
};

const address = ({ host, port }: { readonly host: string; readonly port: number }) =>
  `${host}:${port}`;

export function renderCommand(): Command {
  return new Command("render")
    .description("Write the mesh configuration for a policy.")
    .argument("<policy>", "policy file")
    .addOption(
      new Option("--target <mesh>", "what to render for").choices(["envoy"]).makeOptionMandatory(),
    )
    .option("-o, --output <dir>", "folder for the files; default: standard output")
    .option("--listener <host:port>", "where clients connect", address(ENVOY_DEFAULTS.listener))
    .option("--admin <host:port>", "Envoy's admin interface", address(ENVOY_DEFAULTS.admin))
    .option(
      "--extproc <address...>",
      "HOST:PORT or unix:/PATH of every weir extproc",
      ENVOY_DEFAULTS.extproc.map(address),
    )
    .addOption(
      new Option("--failure-mode <mode>", "when extproc fails: default version, or 503")
        .choices(["open", "closed"])
        .default(ENVOY_DEFAULTS.failureMode),
    )
    .option(
      "--message-timeout-ms <ms>",
      "how long a request waits for its decision",
      String(ENVOY_DEFAULTS.messageTimeoutMs),
    )
    .option(
      "--graceful-close",
      "end side streams without a reset: cheaper, for Envoy 1.39.3 and newer only",
      ENVOY_DEFAULTS.gracefulClose,
    )
    .option("--no-graceful-close", "reset side streams, which every Envoy can (default)")
    .option("--access-log <file>", "file for the access log; default: Envoy's standard output")
    .option("--passthrough <host:port>", "where requests go that belong to no model; default: 404")
    .action(async (file: string, options: Options) => {
      const policy = await requirePolicy(file);
      const document = renderEnvoy(policy.source, {
        ...envoyOptions(options),
        headersRead: policy.headersRead,
      });
      await write(options.output, "envoy.yaml", writeYaml(document));
    });
}

function envoyOptions(options: Options): EnvoyOptions {
  const messageTimeoutMs = Number(options.messageTimeoutMs);
  if (!Number.isInteger(messageTimeoutMs) || messageTimeoutMs < 1) {
    throw new ExitError(
      EXIT.badConfiguration,
      `--message-timeout-ms ${options.messageTimeoutMs}: give a whole number of milliseconds above 0`,
    );
  }
  return {
    ...ENVOY_DEFAULTS,
    listener: parseHostPort("--listener", options.listener),
    admin: parseHostPort("--admin", options.admin),
    extproc: options.extproc.map(endpoint),
    failureMode: options.failureMode,
    messageTimeoutMs,
    gracefulClose: options.gracefulClose,
    ...(options.accessLog === undefined ? {} : { accessLogFile: options.accessLog }),
    ...(options.passthrough === undefined
      ? {}
      : { passthrough: parseHostPort("--passthrough", options.passthrough) }),
  };
}

function endpoint(text: string): ExtProcEndpoint {
  return text.startsWith("unix:")
    ? { kind: "unix", path: text.slice("unix:".length) }
    : { kind: "tcp", ...parseHostPort("--extproc", text) };
}

/** Complete or absent: a reader never sees half a file. */
async function write(directory: string | undefined, name: string, text: string): Promise<void> {
  if (directory === undefined) {
    process.stdout.write(text);
    return;
  }
  await mkdir(directory, { recursive: true });
  const file = join(directory, name);
  await writeFile(`${file}.partial`, text);
  await rename(`${file}.partial`, file);
  process.stderr.write(`wrote ${file}\n`);
}
