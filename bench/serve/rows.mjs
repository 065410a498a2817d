/** What the table of a model shows: of each contender, and beside the best Triton of the round. */
import { heading, row } from "../report.mjs";

export const ROWS = [
  heading("To the best Triton of the round"),
  row("Requests per second", 2, (one, round) => {
    return one.http.requestsPerSecond / most(tritons(round), "http");
  }),
  row("CPU per request", 2, (one, round) => one.http.cpuUs / least(round, cpuOf("http"))),
  row("p99, closed loop", 2, (one, round) => p99("http")(one) / least(round, p99("http"))),
  row("p99, open loop", 2, (one, round) => p99("open")(one) / least(round, p99("open"))),
  row("gRPC: requests per second", 2, (one, round) => {
    return (one.grpc?.requestsPerSecond ?? NaN) / most(tritons(round), "grpc");
  }),
  row("gRPC: CPU per request", 2, (one, round) => cpuOf("grpc")(one) / least(round, cpuOf("grpc"))),
  heading("To MLServer"),
  row("Requests per second", 1, (one, round) => {
    return one.http.requestsPerSecond / most(named(round, "mlserver"), "http");
  }),
  heading("HTTP, closed loop"),
  ...figures("http"),
  heading("HTTP, open loop"),
  ...figures("open").slice(1),
  heading("gRPC, closed loop"),
  ...figures("grpc"),
  heading("Disturbance"),
  row("CPU of other programs, % of all used", 0, (one) => {
    const windows = Object.values(one);
    return (100 * windows.reduce((sum, { othersShare }) => sum + othersShare, 0)) / windows.length;
  }),
];

function figures(loop) {
  return [
    row("Requests per second", 0, (one) => one[loop]?.requestsPerSecond ?? NaN),
    row("CPU per request, us", 0, (one) => cpuOf(loop)(one)),
    row("Latency p50, ms", 1, (one) => one[loop]?.latencyMs.p50 ?? NaN),
    row("Latency p99, ms", 1, (one) => p99(loop)(one)),
  ];
}

function named(round, prefix) {
  return Object.entries(round).flatMap(([name, one]) => (name.startsWith(prefix) ? [one] : []));
}

const tritons = (round) => named(round, "triton");
const most = (several, loop) =>
  Math.max(...several.map((one) => one[loop]?.requestsPerSecond ?? NaN));
const least = (round, of) => Math.min(...tritons(round).map(of));
const cpuOf = (loop) => (one) => one[loop]?.cpuUs ?? NaN;
const p99 = (loop) => (one) => one[loop]?.latencyMs.p99 ?? NaN;
