import { setTimeout as sleep } from "node:timers/promises";
import { readJsonlLog } from "../adapters/event-log/read-log.js";
import { systemClock } from "../adapters/system/clock.js";
import { ExposureJoin } from "../core/experiment/exposure.js";
import type { ExposureCounts } from "../core/experiment/exposure.js";
import type { AssignmentEvent, PredictionEvent } from "../schema/events.js";
import type { DemoMesh } from "./demo-mesh.js";

export type DemoEvents = {
  readonly assignments: readonly AssignmentEvent[];
  readonly predictions: readonly PredictionEvent[];
  readonly exposures: ExposureCounts;
};

const DEADLINE_MS = 10_000;

/** The event logs, once they have been written for so many assignments and for all their copies. */
export async function readEvents(mesh: DemoMesh, assignments: number): Promise<DemoEvents> {
  const deadlineAtMs = systemClock.monotonicMs() + DEADLINE_MS;
  for (;;) {
    const events = await eventsOf([mesh.logs.assignments, ...mesh.logs.predictions]);
    const copies = events.assignments.filter(({ shadow }) => shadow !== null).length;
    const complete =
      events.assignments.length >= assignments && events.predictions.length >= assignments + copies;
    if (complete || systemClock.monotonicMs() > deadlineAtMs) return events;
    await sleep(100);
  }
}

async function eventsOf(paths: readonly string[]): Promise<DemoEvents> {
  const join = new ExposureJoin();
  const assignments: AssignmentEvent[] = [];
  const predictions: PredictionEvent[] = [];
  for await (const line of readJsonlLog(paths)) {
    if (line.kind !== "event") continue;
    join.add(line.event);
    if ("facts" in line.event) assignments.push(line.event);
    else predictions.push(line.event);
  }
  return { assignments, predictions, exposures: join.finish() };
}
