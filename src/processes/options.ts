import { InvalidArgumentError, Option } from "commander";
import { LOG_LEVELS } from "../adapters/system/logger.js";
import { parseHostPort } from "../core/host-port.js";

/** Options that both servers have. Every flag has an environment variable. */

export const addressOption = (flag: string, what: string, fallback: string, variable: string) =>
  new Option(`${flag} <host:port>`, what).default(fallback).env(variable).argParser(hostPort);

/** A bad address is a bad flag, found before anything is loaded. */
function hostPort(text: string): string {
  try {
    parseHostPort("it", text);
    return text;
  } catch {
    throw new InvalidArgumentError("Give HOST:PORT, such as 127.0.0.1:9002 or [::1]:9002.");
  }
}

/** `HOST:PORT` or `unix:/PATH`. */
export const hostPortOrSocket = (text: string): string =>
  /^unix:./.test(text) ? text : hostPort(text);

export const logDirectoryOption = () =>
  new Option("--log-dir <dir>", "folder of the event log; default: no event log").env(
    "WEIR_LOG_DIR",
  );

export const logLevelOption = () =>
  new Option("--log-level <level>", "least level of the process log on stderr")
    .choices(LOG_LEVELS)
    .default("info")
    .env("WEIR_LOG_LEVEL");

export const wholeNumberOption = (
  flag: string,
  what: string,
  fallback: number,
  variable: string,
  min = 0,
) =>
  new Option(flag, what)
    .default(fallback)
    .env(variable)
    .argParser((text: string) => wholeNumber(text, min));

function wholeNumber(text: string, min: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < min) {
    throw new InvalidArgumentError(`${text} must be a whole number of at least ${min}.`);
  }
  return value;
}

export function ratio(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value <= 1)) {
    throw new InvalidArgumentError(`${text} must be a number from 0 to 1.`);
  }
  return value;
}
