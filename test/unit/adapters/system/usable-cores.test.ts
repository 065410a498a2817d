import { describe, expect, test } from "vitest";
import { usableCores } from "../../../../src/adapters/system/usable-cores.js";
import { writeRepository } from "../../../support/model-repository.js";

const CORES = 8;

/** What 8 cores come down to where these files are in /proc and /sys. */
async function coresWith(files: Readonly<Record<string, string>>): Promise<number> {
  const folder = await writeRepository(files);
  try {
    return await usableCores(folder.root, CORES);
  } finally {
    await folder.remove();
  }
}

const v2 = (path: string) => ({ "proc/self/cgroup": `0::${path}\n` });
const V1 = { "proc/self/cgroup": "5:memory:/pod\n4:cpu,cpuacct:/pod\n0::/\n" };

describe("the least of the cores and the CPU quota of the container", () => {
  test.each([
    ["no cgroups at all", {}, 8],
    ["version 2, no quota", { ...v2("/"), "sys/fs/cgroup/cpu.max": "max 100000\n" }, 8],
    ["version 2, 2.5 cores", { ...v2("/"), "sys/fs/cgroup/cpu.max": "250000 100000\n" }, 2],
    ["version 2, half a core", { ...v2("/"), "sys/fs/cgroup/cpu.max": "50000 100000\n" }, 1],
    [
      "version 2, more than there are",
      { ...v2("/"), "sys/fs/cgroup/cpu.max": "900000 10000\n" },
      8,
    ],
    [
      "version 2, the quota of a group above",
      {
        ...v2("/kubepods/pod/container"),
        "sys/fs/cgroup/kubepods/pod/container/cpu.max": "max 100000\n",
        "sys/fs/cgroup/kubepods/pod/cpu.max": "300000 100000\n",
      },
      3,
    ],
    [
      "version 1, no quota",
      {
        ...V1,
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
      },
      8,
    ],
    [
      "version 1, the mount is the container's own group",
      {
        ...V1,
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
      },
      4,
    ],
    [
      "version 1, mounted under the names of its controllers",
      {
        ...V1,
        "sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_quota_us": "150000\n",
        "sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_period_us": "50000\n",
      },
      3,
    ],
  ])("%s", async (_name, files, expected) => {
    expect(await coresWith(files)).toBe(expected);
  });
});

test("on this machine it is a whole number of 1 or more", async () => {
  const cores = await usableCores();
  expect(Number.isInteger(cores) && cores >= 1).toBe(true);
});
