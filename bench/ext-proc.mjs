/**
 * What an external processor costs: weir extproc beside the same Envoy without one, and beside a
 * minimal server in Go. See docs/benchmarks.md.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, loadavg, release, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Command, Option } from "commander";
import { format } from "prettier";
import { envoyBinary } from "../dist/adapters/toolchain/envoy-binary.js";
import { TRANSPORTS } from "../dist/servers/ext-proc/server.js";
import { checkOptions, runProgram, say, wholeNumber } from "./command-line.mjs";
import { profileReport } from "./cpu-profile.mjs";
import { goPrograms } from "./go-programs.mjs";
import { measure } from "./measure.mjs";
import { writePage } from "./page.mjs";
import { output, start } from "./programs.mjs";
import { disturbance, EXT_PROC_ROWS, table } from "./report.mjs";
import { SETUPS, startSetup } from "./setups.mjs";

/** Caches and connections are cold when the others had the machine. */
const WARM_UP_SECONDS = 1;

const WEIR_SETUPS = SETUPS.filter(({ server }) => server === "weir").map(({ name }) => name);

const program = new Command("npm run bench --")
  .description("Measure extproc beside no ext_proc and beside a minimal Go server.")
  .addOption(wholeNumber("--rounds <count>", "how often each is measured, in turns", 3))
  .addOption(wholeNumber("--seconds <seconds>", "how long each stretch of load is", 10))
  .addOption(wholeNumber("--connections <count>", "keep-alive connections to Envoy", 32))
  .addOption(wholeNumber("--rate <rps>", "requests per second of the open loop", 1000))
  .option("--node <path>", "Node to run weir extproc with", process.execPath)
  .addOption(
    new Option("--transport <name>", "what carries gRPC in weir extproc")
      .choices(TRANSPORTS)
      .default(TRANSPORTS[0]),
  )
  .option("--write", "put the table into docs/benchmarks.md")
  .addOption(
    new Option("--profile [setup]", "print where extproc's CPU time goes, and measure nothing else")
      .choices(WEIR_SETUPS)
      .preset("weir"),
  );

async function main() {
  const options = program.parse().opts();
  checkOptions(options);
  const programs = await goPrograms();
  const envoy = await envoyBinary({ onProgress: say });
  const folder = await mkdtemp(join(tmpdir(), "weir-bench-"));
  const upstream = await start(programs.upstream, []);
  const lab = {
    ...{ folder, envoy, goExtproc: programs.extproc, node: options.node, nodeFlags: [] },
    transport: options.transport,
    upstreamPort: Number(upstream.ready.address.split(":").at(-1)),
  };
  const load = { program: programs.load, connections: options.connections };
  try {
    if (options.profile === undefined) await compare(lab, load, options);
    else await profile(lab, load, options);
  } finally {
    await upstream.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function compare(lab, load, options) {
  const conditions = await describeConditions(lab, options);
  const running = [];
  const rounds = [];
  try {
    for (const setup of SETUPS) {
      const one = await startSetup(setup, lab);
      running.push(one);
      say(`warming up ${setup.name}`);
      await measure(one, { ...load, seconds: options.seconds, rate: 0 });
    }
    for (let round = 0; round < options.rounds; round += 1) {
      say(`round ${round + 1} of ${options.rounds}`);
      rounds.push(await measureRound(running, round, load, options));
    }
  } finally {
    for (const one of running) await one.stop();
  }
  const markdown = await format(
    [conditions, disturbance(rounds), table(EXT_PROC_ROWS, SETUPS, rounds)]
      .filter(Boolean)
      .join("\n\n"),
    {
      ...{ parser: "markdown", printWidth: 100 },
    },
  );
  process.stdout.write(markdown);
  if (options.write) say(`wrote ${await writePage("bench", markdown)}`);
}

/** Each round begins with another setup, so that none always runs after the same one. */
async function measureRound(running, round, load, { seconds, rate }) {
  const first = round % running.length;
  const inTurn = [...running.slice(first), ...running.slice(0, first)];
  const measured = {};
  for (const one of inTurn) {
    await measure(one, { ...load, seconds: WARM_UP_SECONDS, rate: 0 });
    const closed = await measure(one, { ...load, seconds, rate: 0 });
    const open = await measure(one, { ...load, seconds, rate });
    measured[one.setup.name] = { closed, open };
    say(`${one.setup.name}: ${JSON.stringify({ closed, open })}`);
  }
  return measured;
}

async function profile(lab, load, { seconds, profile: name }) {
  const setup = SETUPS.find((one) => one.name === name);
  const folder = join(lab.folder, "profile");
  const running = await startSetup(setup, {
    ...lab,
    nodeFlags: ["--cpu-prof", "--cpu-prof-dir", folder],
  });
  const window = { fromUs: 0, toUs: 0, requests: 0 };
  try {
    await measure(running, { ...load, seconds, rate: 0 });
    window.fromUs = monotonicUs();
    const { requests } = await measure(running, { ...load, seconds, rate: 0 });
    Object.assign(window, { toUs: monotonicUs(), requests });
  } finally {
    await running.stop();
  }
  process.stdout.write(await profileReport(folder, window));
}

/** The clock that V8's profiler uses too. */
const monotonicUs = () => Number(process.hrtime.bigint() / 1000n);

/** What a reader must know to compare: the machine, the programs, the load. */
async function describeConditions({ envoy, node }, options) {
  const [{ model }] = cpus();
  const [, envoyVersion] = /\/(\d+\.\d+\.\d+)\//.exec(await output(envoy, ["--version"])) ?? [];
  const nodeVersion = (await output(node, ["--version"])).trim();
  const [, , goVersion] = (await output("go", ["version"])).split(" ");
  const { rounds, seconds, connections, rate, transport } = options;
  return [
    `- Machine: ${cpus().length} cores, ${model}, Linux ${release()}; load average before the run ${loadavg()[0].toFixed(1)}.`,
    `- Programs: Envoy ${envoyVersion} with one worker, Node ${nodeVersion} with transport ${transport}, ${goVersion}.`,
    `- Load: ${rounds} rounds of ${seconds} s each; closed loop over ${connections} connections; open loop at ${rate} requests per second.`,
    `- Each figure is the median of the rounds (lowest..highest); a ratio is taken within a round.`,
  ].join("\n");
}

await runProgram(main);
