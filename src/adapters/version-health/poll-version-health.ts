import type { Random, VersionHealth } from "../../app/ports.js";
import { afterCheck, type HealthState, INITIAL_HEALTH } from "../../core/routing/version-health.js";
import type { HealthCheck, Model, ModelVersion } from "../../schema/model.js";
import { checkVersion } from "./check-version.js";

/** Replicas that were started together must not check together. */
const JITTER = 0.1;

export type HealthChange = {
  readonly model: string;
  readonly version: string;
  readonly healthy: boolean;
  /** What the check that tipped it said. */
  readonly because: string;
};

export type PolledVersionHealth = VersionHealth & {
  /** Checks the versions of these models from now on; the state of a version whose address stays, stays. */
  update(models: readonly Model[]): void;
  close(): void;
};

type Target = {
  readonly model: string;
  readonly version: string;
  readonly address: ModelVersion["address"];
  readonly health: HealthCheck;
};
type Poll = { readonly target: Target; state: HealthState; stop(): void };

/** Checks every version of every model that has `health`, each at its own pace. */
export function pollVersionHealth(options: {
  readonly models: readonly Model[];
  readonly random: Random;
  readonly onChange: (change: HealthChange) => void;
}): PolledVersionHealth {
  let polls: ReadonlyMap<string, Poll> = new Map();
  let unhealthy: ReadonlySet<string> = new Set();

  /** The set is replaced, never changed: a decision keeps the one it took. */
  const refresh = () => {
    unhealthy = new Set([...polls].filter(([, { state }]) => !state.healthy).map(([key]) => key));
  };
  const onChange = (change: HealthChange) => {
    refresh();
    options.onChange(change);
  };
  const update = (models: readonly Model[]) => {
    const before = polls;
    for (const poll of before.values()) poll.stop();
    polls = new Map(
      targetsOf(models).map((target) => {
        const key = `${target.model}/${target.version}`;
        return [
          key,
          startPoll(target, stateBefore(before.get(key), target), { ...options, onChange }),
        ];
      }),
    );
    refresh();
  };
  update(options.models);
  return {
    unhealthy: () => unhealthy,
    update,
    close: () => {
      update([]);
    },
  };
}

function targetsOf(models: readonly Model[]): readonly Target[] {
  return models.flatMap(({ name: model, health, versions }) =>
    health === undefined
      ? []
      : versions.map(({ name: version, address }) => ({ model, version, address, health })),
  );
}

function stateBefore(poll: Poll | undefined, { address }: Target): HealthState {
  const isSame =
    poll?.target.address.host === address.host && poll.target.address.port === address.port;
  return isSame ? poll.state : INITIAL_HEALTH;
}

function startPoll(
  target: Target,
  state: HealthState,
  {
    random,
    onChange,
  }: { readonly random: Random; readonly onChange: (change: HealthChange) => void },
): Poll {
  const { model, version, address, health } = target;
  let timer: NodeJS.Timeout | undefined;
  let cancel: () => void = () => undefined;
  let isStopped = false;
  const poll = {
    target,
    state,
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
      cancel();
    },
  };
  const check = async () => {
    const checking = checkVersion(address, health);
    cancel = checking.cancel;
    const { passed, because } = await checking.result;
    if (isStopped) return;
    timer = setTimeout(() => void check(), jittered(health.interval, random));
    const { healthy } = poll.state;
    poll.state = afterCheck(poll.state, passed, health);
    if (poll.state.healthy !== healthy) onChange({ model, version, healthy: !healthy, because });
  };
  void check();
  return poll;
}

function jittered(intervalMs: number, random: Random): number {
  const [byte = 0] = random.bytes(1);
  return intervalMs * (1 + JITTER * (byte / 127.5 - 1));
}
