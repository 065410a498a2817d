import { Command, InvalidArgumentError, Option } from "commander";
import type { LogLevel } from "../../adapters/system/logger.js";
import { MODEL_CONTROLS } from "../../app/model-repository.js";
import type { ModelControl } from "../../app/model-repository.js";
import { EXECUTION_PROVIDERS } from "../../schema/model-manifest.js";
import type { ExecutionProvider } from "../../schema/model-manifest.js";
import {
  addressOption,
  logDirectoryOption,
  logLevelOption,
  wholeNumberOption,
} from "../options.js";
import { serve } from "../serve.js";

type Options = {
  readonly repository: string;
  readonly httpAddress: string;
  readonly grpcAddress: string;
  readonly adminAddress: string;
  readonly shadow: boolean;
  readonly logDir?: string;
  readonly logLevel: LogLevel;
  readonly drainMs: number;
  readonly modelControl: ModelControl;
  readonly modelKey: readonly string[];
  readonly executionProviders: readonly ExecutionProvider[];
  readonly maxBodyBytes: number;
  readonly maxJsonBytes: number;
  readonly maxHeldBytes: number;
  readonly requestTimeoutMs: number;
};

const MIB = 1024 * 1024;

const MODELS = [
  new Option("--model-control <mode>", "who changes what is served: nobody, callers, or the files")
    .choices(MODEL_CONTROLS)
    .default("none")
    .env("WEIR_MODEL_CONTROL"),
  new Option(
    "--model-key <file...>",
    "Ed25519 public key (PEM); given one, only model files that one of them signed are served",
  )
    .default([])
    .env("WEIR_MODEL_KEY"),
  new Option(
    "--execution-providers <list>",
    "of models whose model.yaml names none, such as cuda,cpu",
  )
    .default(["cpu"])
    .env("WEIR_EXECUTION_PROVIDERS")
    .argParser(executionProviders),
];

function executionProviders(text: string): readonly ExecutionProvider[] {
  return text.split(",").map((name) => {
    const found = EXECUTION_PROVIDERS.find((each) => each === name.trim());
    if (found !== undefined) return found;
    const known = EXECUTION_PROVIDERS.join(", ");
    throw new InvalidArgumentError(`${JSON.stringify(name)} is not one of ${known}.`);
  });
}

const LIMITS = [
  wholeNumberOption(
    "--max-body-bytes <bytes>",
    "limit of one body or gRPC message, uncompressed",
    64 * MIB,
    "WEIR_MAX_BODY_BYTES",
    1,
  ),
  wholeNumberOption(
    "--max-json-bytes <bytes>",
    "limit of the JSON in one body",
    16 * MIB,
    "WEIR_MAX_JSON_BYTES",
    1,
  ),
  wholeNumberOption(
    "--max-held-bytes <bytes>",
    "limit of the bodies of all requests under way and of answers not taken; more are refused",
    512 * MIB,
    "WEIR_MAX_HELD_BYTES",
    1,
  ),
  wholeNumberOption(
    "--request-timeout-ms <ms>",
    "how long a request may take to arrive whole, and an answer may wait for its caller to read",
    30_000,
    "WEIR_REQUEST_TIMEOUT_MS",
    1,
  ),
];

export function serveCommand(): Command {
  const command = new Command("serve");
  for (const option of [...MODELS, ...LIMITS]) command.addOption(option);
  return command
    .description("Serve ONNX models over the Open Inference Protocol.")
    .addOption(
      new Option("-r, --repository <dir>", "folder with MODEL/VERSION/model.onnx")
        .env("WEIR_REPOSITORY")
        .makeOptionMandatory(),
    )
    .addOption(
      addressOption(
        "--http-address",
        "Open Inference Protocol over HTTP",
        "127.0.0.1:8080",
        "WEIR_HTTP_ADDRESS",
      ),
    )
    .addOption(
      // extproc's address has its own variable: both programs may share one environment.
      addressOption(
        "--grpc-address",
        "Open Inference Protocol over gRPC",
        "127.0.0.1:8081",
        "WEIR_INFERENCE_GRPC_ADDRESS",
      ),
    )
    .addOption(
      addressOption(
        "--admin-address",
        "probes and metrics",
        "127.0.0.1:8102",
        "WEIR_ADMIN_ADDRESS",
      ),
    )
    .addOption(
      new Option("--shadow", "this pod serves only copies: its predictions are never of record")
        .default(false)
        .env("WEIR_SHADOW"),
    )
    .addOption(logDirectoryOption())
    .addOption(logLevelOption())
    .addOption(
      wholeNumberOption(
        "--drain-ms <ms>",
        "how long requests are accepted after SIGTERM",
        3000,
        "WEIR_DRAIN_MS",
      ),
    )
    .action(async ({ logDir, modelKey, ...rest }: Options) => {
      const modelKeys = [modelKey].flat();
      await serve({ ...rest, modelKeys, logDirectory: logDir });
    });
}
