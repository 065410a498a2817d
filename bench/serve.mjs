/**
 * weir serve beside Triton, MLServer and LitServe: the same model, the same onnxruntime, the same
 * load, in turns. See docs/benchmarks.md.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { cpus, loadavg, release, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Command, Option } from "commander";
import { format } from "prettier";
import { checkOptions, runProgram, say, wholeNumber } from "./command-line.mjs";
import { profileReport } from "./cpu-profile.mjs";
import { goPrograms } from "./go-programs.mjs";
import { writePage } from "./page.mjs";
import { output } from "./programs.mjs";
import { disturbance, table } from "./report.mjs";
import { CONTENDERS, startContender } from "./serve/contenders.mjs";
import { checkAnswers, measure } from "./serve/measure.mjs";
import { MODEL_NAMES, prepareModel } from "./serve/models.mjs";
import { ROWS } from "./serve/rows.mjs";

const WARM_UP_SECONDS = 2;

const program = new Command("npm run bench:serve --")
  .description("Measure weir serve beside Triton, MLServer and LitServe.")
  .addOption(wholeNumber("--rounds <count>", "how often each is measured, in turns", 3))
  .addOption(wholeNumber("--seconds <seconds>", "how long each stretch of load is", 6))
  .addOption(wholeNumber("--connections <count>", "keep-alive connections", 32))
  .addOption(
    new Option("--model <name>", "what is served").choices(MODEL_NAMES).default(MODEL_NAMES[0]),
  )
  .option("--only <names>", "of the contenders, by the beginning of their names: weir,triton")
  .option("--node <path>", "Node to run weir serve with", process.execPath)
  .option("--write", "put the table into docs/benchmarks.md")
  .option("--profile", "print where weir serve's CPU time goes, and measure nothing else");

async function main() {
  const options = program.parse().opts();
  checkOptions(options);
  const folder = await mkdtemp(join(tmpdir(), "weir-bench-"));
  try {
    const programs = await goPrograms();
    const model = await prepareModel(options.model, folder, say);
    const load = { program: programs.load, connections: options.connections };
    const lab = { folder, model, load, say, node: options.node, nodeFlags: [] };
    if (options.profile) await profile(lab, options);
    else await compare(lab, options);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function compare(lab, options) {
  const { only = "", model } = options;
  const wanted = ({ name }) => only.split(",").some((prefix) => name.startsWith(prefix));
  const contenders = CONTENDERS[model].filter(wanted);
  const conditions = await describeConditions(lab, options);
  const rounds = [];
  for (let round = 0; round < options.rounds; round += 1) {
    say(`round ${round + 1} of ${options.rounds}`);
    rounds.push(await measureRound(contenders, round, lab, options));
  }
  const parts = [conditions, disturbance(rounds), table(ROWS, contenders, rounds)];
  const markdown = await format(parts.filter(Boolean).join("\n\n"), {
    ...{ parser: "markdown", printWidth: 100 },
  });
  process.stdout.write(markdown);
  if (options.write) say(`wrote ${await writePage(`bench-serve-${model}`, markdown)}`);
}

/** One server lives at a time. Each round begins with another one. */
async function measureRound(contenders, round, lab, { seconds }) {
  const first = round % contenders.length;
  const measured = {};
  for (const one of [...contenders.slice(first), ...contenders.slice(0, first)]) {
    const folder = join(lab.folder, `${one.name}-${round}`);
    await mkdir(folder);
    const running = await startContender(one, lab.model, folder, lab);
    try {
      measured[one.name] = await measureContender(running, lab, seconds);
    } finally {
      await running.stop();
    }
    say(`${one.name}: ${JSON.stringify(measured[one.name])}`);
  }
  return measured;
}

async function measureContender(running, { load, model }, seconds) {
  const closed = { ...load, seconds, rate: 0, isGrpc: false };
  await checkAnswers(running, model);
  await measure(running, { ...closed, seconds: WARM_UP_SECONDS }, model);
  const http = await measure(running, closed, model);
  const open = await measure(running, { ...closed, rate: model.openRate }, model);
  if (running.grpc === undefined) return { http, open };
  await measure(running, { ...closed, isGrpc: true, seconds: WARM_UP_SECONDS }, model);
  return { http, open, grpc: await measure(running, { ...closed, isGrpc: true }, model) };
}

async function profile(lab, { seconds, model }) {
  const folder = join(lab.folder, "profile");
  const nodeFlags = ["--cpu-prof", "--cpu-prof-dir", folder];
  const [contender] = CONTENDERS[model];
  await mkdir(join(lab.folder, contender.name));
  const running = await startContender(contender, lab.model, join(lab.folder, contender.name), {
    ...{ ...lab, nodeFlags },
  });
  const window = { fromUs: 0, toUs: 0, requests: 0 };
  const load = { ...lab.load, seconds, rate: 0, isGrpc: false };
  try {
    await measure(running, load, lab.model);
    window.fromUs = monotonicUs();
    const { requests } = await measure(running, load, lab.model);
    Object.assign(window, { toUs: monotonicUs(), requests });
  } finally {
    await running.stop();
  }
  process.stdout.write(await profileReport(folder, window));
}

/** The clock that V8's profiler uses too. */
const monotonicUs = () => Number(process.hrtime.bigint() / 1000n);

async function describeConditions({ node, model }, { rounds, seconds, connections }) {
  const [{ model: cpu }] = cpus();
  const nodeVersion = (await output(node, ["--version"])).trim();
  return [
    `- Machine: ${cpus().length} cores, ${cpu}, Linux ${release()}; load average before the run ${loadavg()[0].toFixed(1)}.`,
    `- Programs: Node ${nodeVersion}, Triton 2.51 with its python backend, MLServer 1.7.1, LitServe 0.2.19; onnxruntime 1.30.0 in each. AxB: A instances of B threads.`,
    `- Load: ${rounds} rounds of ${seconds} s each; one item a request; closed loop over ${connections} connections; open loop at ${model.openRate} requests per second.`,
    `- Each figure is the median of the rounds (lowest..highest); a ratio is taken within a round.`,
  ].join("\n");
}

await runProgram(main);
