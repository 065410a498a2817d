import { Command, Option } from "commander";
import type { LogLevel } from "../../adapters/system/logger.js";
import { TRANSPORTS, type TransportName } from "../../servers/ext-proc/server.js";
import { runExtProc } from "../ext-proc.js";
import {
  addressOption,
  hostPortOrSocket,
  logDirectoryOption,
  logLevelOption,
  ratio,
  wholeNumberOption,
} from "../options.js";
import { overrideKeyOption, policyOption, readOverrideKeys } from "../policy-option.js";
import { readRedisOptions, redisCaOption, redisUrlOption } from "../redis-option.js";

type Options = {
  readonly policy: string;
  readonly overrideKey?: readonly string[];
  readonly grpcAddress: string;
  readonly transport: TransportName;
  readonly adminAddress: string;
  readonly logDir?: string;
  readonly logLevel: LogLevel;
  readonly limitKeys: number;
  readonly maxLagMs: number;
  readonly redisUrl?: string;
  readonly redisCa?: string;
  readonly otlpEndpoint?: string;
  readonly traceSampleRatio: number;
  readonly drainMs: number;
  readonly finishMs: number;
};

export function extprocCommand(): Command {
  const command = new Command("extproc")
    .description("Serve Envoy's external processor: decide every request of the mesh.")
    .action(async (options: Options) => {
      const { policy, overrideKey, logDir, otlpEndpoint, redisUrl, redisCa, ...rest } = options;
      await runExtProc({
        ...rest,
        policyFile: policy,
        redis: await readRedisOptions(redisUrl, redisCa),
        overrideKeys: await readOverrideKeys(overrideKey),
        logDirectory: logDir,
        otlpEndpoint,
      });
    });
  for (const option of [policyOption(), overrideKeyOption(), ...addresses(), ...observability()]) {
    command.addOption(option);
  }
  for (const option of [...bounds(), redisUrlOption(), redisCaOption()]) command.addOption(option);
  return command;
}

const addresses = () => [
  addressOption(
    "--grpc-address",
    "where Envoy connects; unix:/PATH works too",
    "127.0.0.1:9002",
    "WEIR_GRPC_ADDRESS",
  ).argParser(hostPortOrSocket),
  addressOption(
    "--admin-address",
    "probes, metrics, /policy and /explain",
    "127.0.0.1:9102",
    "WEIR_ADMIN_ADDRESS",
  ),
  new Option("--transport <name>", "what carries gRPC; both serve the same, http2 for less CPU")
    .choices(TRANSPORTS)
    .default("http2")
    .env("WEIR_TRANSPORT"),
];

const observability = () => [
  logDirectoryOption(),
  logLevelOption(),
  new Option("--otlp-endpoint <url>", "OTLP/HTTP collector; default: no traces").env(
    "WEIR_OTLP_ENDPOINT",
  ),
  new Option("--trace-sample-ratio <ratio>", "share of traces that begin here to keep")
    .default(0.01)
    .env("WEIR_TRACE_SAMPLE_RATIO")
    .argParser(ratio),
];

const bounds = () => [
  wholeNumberOption(
    "--limit-keys <count>",
    "quotas kept in memory; least recently used out",
    100_000,
    "WEIR_LIMIT_KEYS",
    1,
  ),
  wholeNumberOption(
    "--max-lag-ms <ms>",
    "how late the event loop may be before it sheds; half of Envoy's message timeout",
    25,
    "WEIR_MAX_LAG_MS",
    1,
  ),
  wholeNumberOption(
    "--drain-ms <ms>",
    "how long streams are accepted after SIGTERM",
    5000,
    "WEIR_DRAIN_MS",
  ),
  wholeNumberOption(
    "--finish-ms <ms>",
    "how long open streams may then take",
    5000,
    "WEIR_FINISH_MS",
  ),
];
