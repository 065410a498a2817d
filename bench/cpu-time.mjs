/** CPU time from Linux's /proc (proc_pid_stat(5), proc_stat(5)). */
import { readdir, readFile } from "node:fs/promises";

/** USER_HZ: what one tick in /proc is worth, the same on every Linux we run on. */
const MICROSECONDS_PER_TICK = 10_000;

/** User and system time of a process, all of its threads and all of its children, in microseconds. */
export async function cpuMicroseconds(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // The name is in parentheses and may hold spaces. utime is field 14, the third after it is 3.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [utime, stime, cutime, cstime] = fields.slice(11, 15).map(Number);
  const children = await Promise.all((await childrenOf(pid)).map(cpuMicroseconds));
  const own = (utime + stime + cutime + cstime) * MICROSECONDS_PER_TICK;
  return children.reduce((sum, one) => sum + one, own);
}

async function childrenOf(pid) {
  const threads = await readdir(`/proc/${pid}/task`);
  const lists = await Promise.all(
    // A thread may end while we look.
    threads.map((id) => readFile(`/proc/${pid}/task/${id}/children`, "utf8").catch(() => "")),
  );
  return lists.flatMap((list) => list.split(" ").filter((child) => child !== ""));
}

/** Time that the machine's cores were at work since it started, in microseconds. */
export async function machineBusyMicroseconds() {
  const stat = await readFile("/proc/stat", "utf8");
  const [user, nice, system, , , irq, softirq] = stat
    .split("\n", 1)[0]
    .split(/ +/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq) * MICROSECONDS_PER_TICK;
}
