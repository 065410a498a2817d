/** Reads what `node --cpu-prof` wrote: where the time of a stretch went. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

const TOP = 30;

/**
 * @param {string} folder  with one profile
 * @param {{ fromUs: number, toUs: number, requests: number }} window  on the monotonic clock
 * @returns {Promise<string>} Markdown tables, in microseconds per request
 */
export async function profileReport(folder, { fromUs, toUs, requests }) {
  const [file] = (await readdir(folder)).filter((name) => name.endsWith(".cpuprofile"));
  const profile = JSON.parse(await readFile(join(folder, file), "utf8"));
  const stacks = stacksOf(profile);
  const self = sums(profile, fromUs, toUs, (node) => stacks.get(node).slice(0, 1));
  const total = sums(profile, fromUs, toUs, (node) => stacks.get(node).filter(isOurs));
  const table = (title, entries) =>
    [
      `| us per request | ${title} |`,
      "| ---: | --- |",
      ...entries.map(([name, us]) => `| ${(us / requests).toFixed(1)} | ${name} |`),
    ].join("\n");
  return [
    table("package, self time", merged(self, packageOf)),
    table("our function, with all that it calls", merged(total, nameOf).slice(0, TOP)),
    table("function, self time", merged(self, nameOf).slice(0, TOP)),
    "",
  ].join("\n\n");
}

/** Every node's call frame and those of its callers, innermost first. */
function stacksOf({ nodes }) {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const stacks = new Map([[nodes[0].id, [frames.get(nodes[0].id)]]]);
  // A node comes before its children.
  for (const { id, children = [] } of nodes) {
    for (const child of children) stacks.set(child, [frames.get(child), ...stacks.get(id)]);
  }
  return stacks;
}

/** Microseconds by call frame, for the frames that `framesOf` says a sample counts for. */
function sums({ samples, timeDeltas, startTime }, fromUs, toUs, framesOf) {
  const sum = new Map();
  let atUs = startTime;
  samples.forEach((node, index) => {
    atUs += timeDeltas[index];
    if (atUs < fromUs || atUs > toUs) return;
    // A recursive function counts once.
    for (const name of new Set(framesOf(node)))
      sum.set(name, (sum.get(name) ?? 0) + timeDeltas[index]);
  });
  return sum;
}

/** By name, most first; waiting for work left out. */
function merged(sum, keyOf) {
  const byKey = new Map();
  for (const [frame, us] of sum) {
    if (frame.functionName === "(idle)") continue;
    byKey.set(keyOf(frame), (byKey.get(keyOf(frame)) ?? 0) + us);
  }
  return [...byKey].sort(([, a], [, b]) => b - a);
}

function nameOf({ functionName, url, lineNumber }) {
  const name = functionName === "" ? "(anonymous)" : functionName;
  return url === "" ? name : `${name} ${shortened(url)}:${lineNumber + 1}`;
}

const isOurs = ({ url }) => shortened(url).startsWith("dist/");

function packageOf({ functionName, url }) {
  if (url === "") {
    // protobufjs makes a function of each message type, such as Struct$encode.
    if (functionName.includes("$")) return "protobufjs";
    return functionName.startsWith("(") ? functionName : "(native)";
  }
  const [first, second] = shortened(url).split("/");
  if (url.startsWith("node:")) return first;
  return first.startsWith("@") || first === "dist" ? `${first}/${second}` : first;
}

function shortened(url) {
  const [, inPackage] = /.*\/node_modules\/(.*)/.exec(url) ?? [];
  const [, inDist] = /.*\/(dist\/.*)/.exec(url) ?? [];
  return inPackage ?? inDist ?? url;
}
