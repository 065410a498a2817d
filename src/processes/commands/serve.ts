import { Command, Option } from "commander";
import type { LogLevel } from "../../adapters/system/logger.js";
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
  readonly adminAddress: string;
  readonly shadow: boolean;
  readonly logDir?: string;
  readonly logLevel: LogLevel;
  readonly drainMs: number;
};

export function serveCommand(): Command {
  return new Command("serve")
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
    .action(async ({ logDir, ...rest }: Options) => {
      await serve({ ...rest, logDirectory: logDir });
    });
}
