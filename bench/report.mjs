/** The figures of a run as one Markdown table: ratios first, each the median of the rounds and its range. */

/**
 * @typedef {import("./measure.mjs").Window} Window
 * @typedef {{ closed: Window, open: Window }} Measured
 * @typedef {Readonly<Record<string, Measured>>} Round  by name of the setup
 */

/** Other programs' part of the CPU time used, up to which a run counts as undisturbed. */
const TOLERABLE_SHARE = 0.1;

/** No figure where there is no server. */
const serverUs = (window) => (window.serverUs === 0 ? NaN : window.serverUs);
const cpuUs = ({ serverUs, envoyUs }) => serverUs + envoyUs;

/** What a column shows of one round; `go` is absent when it was not measured. */
export const EXT_PROC_ROWS = [
  heading("Ratios, closed loop"),
  ...ratiosOfCpu("closed"),
  row("Requests per second, to no ext_proc", 2, (one, { none }) => {
    return one.closed.requestsPerSecond / none.closed.requestsPerSecond;
  }),
  row("Requests per second, to weir", 2, (one, { weir }) => {
    return one.closed.requestsPerSecond / weir.closed.requestsPerSecond;
  }),
  heading("Ratios, open loop"),
  ...ratiosOfCpu("open"),
  row("Added latency p50, to Go", 2, (one, { none, go }) => {
    return added("p50", one, none) / added("p50", go, none);
  }),
  row("Added latency p99, to Go", 2, (one, { none, go }) => {
    return added("p99", one, none) / added("p99", go, none);
  }),
  row("Added latency p99.9, to Go", 2, (one, { none, go }) => {
    return added("p999", one, none) / added("p999", go, none);
  }),
  heading("Open loop"),
  row("Added latency p50, ms", 2, (one, { none }) => added("p50", one, none)),
  row("Added latency p99, ms", 2, (one, { none }) => added("p99", one, none)),
  row("Added latency p99.9, ms", 2, (one, { none }) => added("p999", one, none)),
  row("Latency p50, ms", 2, ({ open }) => open.latencyMs.p50),
  row("Latency p90, ms", 2, ({ open }) => open.latencyMs.p90),
  row("Latency p99, ms", 2, ({ open }) => open.latencyMs.p99),
  row("Latency p99.9, ms", 2, ({ open }) => open.latencyMs.p999),
  row("extproc CPU per request, us", 0, ({ open }) => serverUs(open)),
  row("Envoy CPU per request, us", 0, ({ open }) => open.envoyUs),
  heading("Closed loop"),
  row("extproc CPU per request, us", 0, ({ closed }) => serverUs(closed)),
  row("Envoy CPU per request, us", 0, ({ closed }) => closed.envoyUs),
  row("Requests per second", 0, ({ closed }) => closed.requestsPerSecond),
  row("Latency p50, ms", 1, ({ closed }) => closed.latencyMs.p50),
  row("Latency p99, ms", 1, ({ closed }) => closed.latencyMs.p99),
  heading("Disturbance"),
  row("CPU of other programs, % of all used", 0, ({ closed, open }) => {
    return 50 * (closed.othersShare + open.othersShare);
  }),
];

/** @param {"closed" | "open"} loop */
function ratiosOfCpu(loop) {
  return [
    row("CPU per request, Envoy and extproc, to no ext_proc", 2, (one, { none }) => {
      return cpuUs(one[loop]) / cpuUs(none[loop]);
    }),
    row("CPU per request, Envoy and extproc, to Go", 2, (one, { go }) => {
      return cpuUs(one[loop]) / cpuUs(go[loop]);
    }),
    row("CPU per request, extproc alone, to Go", 2, (one, { go }) => {
      return serverUs(one[loop]) / serverUs(go[loop]);
    }),
    row("CPU per request, Envoy alone, to no ext_proc", 2, (one, { none }) => {
      return one[loop].envoyUs / none[loop].envoyUs;
    }),
  ];
}

export function heading(title) {
  return { title: `**${title}**` };
}

export function row(title, digits, value) {
  return { title, digits, value };
}

/** What ext_proc adds: compared by percentile, within one round. */
function added(percentile, one, none) {
  return one.open.latencyMs[percentile] - none.open.latencyMs[percentile];
}

/**
 * @param {readonly ReturnType<typeof row>[]} rows
 * @param {readonly { name: string, title: string }[]} setups
 * @param {readonly Round[]} rounds
 */
export function table(rows, setups, rounds) {
  const lines = [
    ["", ...setups.map(({ title }) => title)],
    ["---", ...setups.map(() => "---:")],
    ...rows.map(({ title, digits, value }) => [
      title,
      ...setups.map(({ name }) =>
        value === undefined
          ? ""
          : spread(
              rounds.map((round) => value(round[name], round)),
              digits,
            ),
      ),
    ]),
  ];
  return lines.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

/** A warning for the reader when the machine was not ours alone; undefined when it was. */
export function disturbance(rounds) {
  const windows = rounds.flatMap(Object.values).flatMap(Object.values);
  const share = median(windows.map(({ othersShare }) => othersShare).toSorted((a, b) => a - b));
  if (share <= TOLERABLE_SHARE) return undefined;
  return `**Other programs took ${(100 * share).toFixed(0)} % of the CPU time used: latency tails and requests per second are theirs as much as ours. The ratios of CPU suffer less, but may move by a quarter from run to run.**`;
}

/** `median (min..max)`; a dash where the figure has no meaning, such as the server of no server. */
function spread(values, digits) {
  const sorted = values.toSorted((a, b) => a - b);
  if (!sorted.every(Number.isFinite)) return "-";
  const [low, high] = [sorted[0], sorted.at(-1)].map((value) => value.toFixed(digits));
  return low === high ? low : `${median(sorted).toFixed(digits)} (${low}..${high})`;
}

function median(sorted) {
  const middle = sorted.length / 2;
  return Number.isInteger(middle)
    ? (sorted[middle - 1] + sorted[middle]) / 2
    : sorted[Math.floor(middle)];
}
