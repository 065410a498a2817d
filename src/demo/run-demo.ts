import { sampleFiles } from "./sample-files.js";
import type { SampleFile } from "./sample-files.js";
import {
  accuracyByArm,
  callersKeepTheirArm,
  overLimitTenantGets429,
  overrideHeaders,
  overrideWorks,
  shadowsAreComparedNotCounted,
  splitIsAsConfigured,
} from "./claims.js";
import type { Claim, Served } from "./claims.js";
import { classify, inParallel } from "./classify.js";
import { orAbort, startDemoMesh } from "./demo-mesh.js";
import type { DemoMesh } from "./demo-mesh.js";
import { readEvents } from "./read-events.js";

const FILES_PER_TYPE = 40;
const CALLERS = 300;
const REQUESTS_PER_CALLER = 4;
const CONNECTIONS = 16;

/**
 * Starts everything, drives real files through it, and checks what it says of itself.
 *
 * @param print   gets the lines a person reads
 * @param signal  ends the demo, at any point, with everything stopped
 * @param once    stop after the claims; else stay up until the signal
 * @returns       whether every claim holds
 */
export async function runDemo(
  print: (line: string) => void,
  { signal, once }: { readonly signal: AbortSignal; readonly once: boolean },
): Promise<boolean> {
  const mesh = await startDemoMesh(print, signal);
  try {
    const files = await sampleFiles(FILES_PER_TYPE);
    const claims = await orAbort(signal, checkClaims(mesh, files, print));
    for (const line of table(claims)) print(line);
    const holds = claims.every((claim) => claim.holds);
    print(holds ? "every claim holds" : "SOME CLAIMS DO NOT HOLD");
    if (!once) {
      for (const line of thingsToTry(mesh, files)) print(line);
      await orAbort(signal, new Promise(() => undefined)).catch(() => undefined);
    }
    return holds;
  } finally {
    mesh.stop();
  }
}

async function checkClaims(
  mesh: DemoMesh,
  files: readonly SampleFile[],
  print: (line: string) => void,
): Promise<readonly Claim[]> {
  const types = new Set(files.map(({ type }) => type)).size;
  print(
    `sending ${files.length} files of ${types} types from ${CALLERS} callers, ${REQUESTS_PER_CALLER} requests each`,
  );
  const served = await drive(mesh, files, print);
  const events = await readEvents(mesh, served.length);
  const [file] = files;
  if (file === undefined) return [{ claim: "files are there", holds: false, figures: "none" }];
  return [
    callersKeepTheirArm(served),
    splitIsAsConfigured(served),
    accuracyByArm(served),
    shadowsAreComparedNotCounted(events, served.length),
    await overLimitTenantGets429(mesh, file),
    await overrideWorks(mesh, served, file),
  ];
}

async function drive(
  mesh: DemoMesh,
  files: readonly SampleFile[],
  print: (line: string) => void,
): Promise<readonly Served[]> {
  const total = CALLERS * REQUESTS_PER_CALLER;
  const planned = Array.from({ length: total }, (_, at) => ({
    user: `user-${at % CALLERS}`,
    // A stride that shares no factor with the counts walks through all files.
    file: files[(at * 7919) % files.length],
  }));
  let done = 0;
  const served = await inParallel(planned, CONNECTIONS, async ({ user, file }) => {
    if (file === undefined) return undefined;
    const answer = await classify(mesh.url, file, { "x-user-id": user });
    done++;
    if (done % Math.ceil(total / 4) === 0) print(`  ${done} of ${total} answered`);
    return { user, file, answer };
  });
  return served.filter((one) => one !== undefined);
}

function table(claims: readonly Claim[]): readonly string[] {
  const width = Math.max(...claims.map(({ claim }) => claim.length));
  return [
    "",
    ...claims.map(
      ({ claim, holds, figures }) =>
        `${holds ? "ok    " : "FAILED"}  ${claim.padEnd(width)}  ${figures}`,
    ),
    "",
  ];
}

function thingsToTry(mesh: DemoMesh, files: readonly SampleFile[]): readonly string[] {
  const infer = `curl -s ${mesh.url}/v2/models/magika/infer --data-binary @${files.find(({ type }) => type === "markdown")?.path ?? "README.md"} -H 'content-type: application/octet-stream'`;
  const headers = Object.entries(overrideHeaders(mesh)).map(
    ([name, value]) => `-H '${name}: ${value}'`,
  );
  const facts = `{"path":"/v2/models/magika/infer","headers":{"x-user-id":"user-1"}}`;
  return [
    "",
    "It stays up until Ctrl-C. Try:",
    `  ${infer} -H 'x-user-id: user-1'`,
    `  ${infer} -H 'x-user-id: user-1' ${headers.join(" ")}`,
    `  for i in $(seq 60); do ${infer} -H 'x-tenant: acme' -o /dev/null -w '%{http_code}\\n' & done | sort | uniq -c`,
    `  curl -s http://${mesh.extprocAdmin}/explain -d '${facts}'`,
    `  curl -s http://${mesh.extprocAdmin}/metrics | grep ^weir_`,
    `  edit ${mesh.policyFile}, and watch http://${mesh.extprocAdmin}/readyz`,
    `  kill -9 the extproc: requests go on, to the default version`,
    "",
  ];
}
