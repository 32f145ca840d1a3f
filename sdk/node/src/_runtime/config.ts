import { environment, readLogin } from "#platform";
import { BEHAVIOR } from "../behavior.js";
import { ConfigurationError } from "./errors.js";

export const DEFAULT_BASE_URL: string = BEHAVIOR.baseUrl;

/** Where calls go and the key they carry; an empty key sends no Authorization header. */
export interface Target {
  baseUrl: string;
  apiKey: string;
}

/**
 * Settle URL and key. Key: argument, CYGNI_API_KEY, what `cygni login` kept. URL: argument, CYGNI_API_URL, the login's
 * (only with its key), the hosted API. A kept key goes to the URL it was kept with and nowhere else.
 * @throws ConfigurationError
 */
export function resolve(apiKey: string | undefined, baseUrl: string | undefined): Target {
  const given = baseUrl || environment(BEHAVIOR.environment.apiUrl);
  const url = given ? normalizeBaseUrl(given) : undefined;
  const key = apiKey ?? (environment(BEHAVIOR.environment.apiKey) || undefined);
  if (key !== undefined) return { baseUrl: url ?? DEFAULT_BASE_URL, apiKey: sound(key) };
  const login = readLogin();
  if (login === null) {
    throw new ConfigurationError("There is no API key: pass apiKey, set CYGNI_API_KEY, or run `cygni login`.");
  }
  const kept = normalizeBaseUrl(login.apiUrl);
  if (url !== undefined && url !== kept) {
    throw new ConfigurationError(
      `The key kept by \`cygni login\` is for ${kept} and is not sent to ${url}: set CYGNI_API_KEY too.`,
    );
  }
  return { baseUrl: kept, apiKey: sound(login.apiKey) };
}

/** The key, which a header can carry; the error does not show it. */
function sound(key: string): string {
  if (/^[!-~]*$/.test(key)) return key;
  throw new ConfigurationError(
    "The API key has a character that no key has: a line break, a space, or one that is not ASCII.",
  );
}

/**
 * The URL without a trailing slash, `/v1` added where it names no path.
 * @throws ConfigurationError
 */
export function normalizeBaseUrl(url: string): string {
  const parts = URL.canParse(url.trim()) ? new URL(url.trim()) : null;
  const isPlain = parts && !parts.search && !parts.hash && !parts.username && !parts.password;
  if (!parts || !isPlain || !["http:", "https:"].includes(parts.protocol)) {
    throw new ConfigurationError(`${url} is not the URL of an API; it looks like ${DEFAULT_BASE_URL}.`);
  }
  return `${parts.origin}${parts.pathname.replace(/\/+$/, "") || "/v1"}`;
}
