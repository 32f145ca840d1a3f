// Carries out the calls of one scenario, as sdk/conformance/README.md describes.
import { json } from "node:stream/consumers";
import { APIResponse, CygniClient, EVENT_TYPES, webhooks } from "../dist/esm/index.js";

const ERROR_FIELDS = ["status", "code", "hint", "details", "requestId", "retryAfter", "errors", "deployment"];
const RANGE = /^(\w+)\[(\w+)\]$/;

function last(response) {
  return { status: response.status, requestId: response.requestId, rateLimit: response.rateLimit };
}

function described(error) {
  const told = { class: error.constructor.name, message: error.message };
  for (const name of ERROR_FIELDS) if (name in error) told[name] = error[name];
  return error.lastResponse instanceof APIResponse ? { ...told, last: last(error.lastResponse) } : told;
}

/** Wire names as a method's arguments have them: createdAt[gte] → createdAtGte. */
function named(args) {
  const own = name =>
    name.replace(RANGE, (_, field, operator) => field + operator[0].toUpperCase() + operator.slice(1));
  return Object.fromEntries(Object.entries(args).map(([name, value]) => [own(name), value]));
}

const takers = {
  async value(made) {
    const value = await made;
    return { value: value ?? null, last: value?.lastResponse && last(value.lastResponse) };
  },
  async page(made) {
    const page = await made;
    return { items: page.items, pagination: page.pagination, last: last(page.lastResponse) };
  },
  async items(made, report, { first = Number.POSITIVE_INFINITY }) {
    report.items = [];
    for await (const item of made) if (report.items.push(item) >= first) break;
  },
  async pages(made, report) {
    report.pages = [];
    for await (const page of made.pages()) report.pages.push(page.items);
  },
  async stream(made, report) {
    report.events = [];
    try {
      for await (const event of made) report.events.push(event);
    } finally {
      Object.assign(report, { end: made.end, lastEventId: made.lastEventId });
    }
  },
  async bytes(made, report) {
    report.text = "";
    for await (const piece of made) report.text += new TextDecoder().decode(piece);
  },
  async raw(made) {
    const raw = await made;
    const { status, text, requestId } = raw;
    return { status, text, requestId, headers: Object.fromEntries(raw.headers), value: raw.parse() };
  },
};

async function special(client, name, { ids = [], args = {}, options = {} }) {
  const { body, headers, secret, toleranceSeconds } = args;
  const tolerance = toleranceSeconds === undefined ? {} : { toleranceSeconds };
  switch (name) {
    case "webhooks.verify":
      await webhooks.verify(body, headers, secret, tolerance);
      return { value: true };
    case "webhooks.unwrap": {
      const value = await webhooks.unwrap(new TextEncoder().encode(body), headers, secret, tolerance);
      return { value, kind: EVENT_TYPES.includes(value.type) ? "known" : "unknown" };
    }
    case "request": {
      const { method, path, ...request } = args;
      const response = await client.request(method, path, { ...request, ...options });
      return { value: response.data, last: last(response) };
    }
    case "uploads.fromDirectory":
      return { value: await client.uploads.fromDirectory(args.path, {}, options) };
    case "deployments.wait":
      return { value: await client.deployments.wait(ids[0], args, options) };
    default:
      return undefined;
  }
}

async function perform(client, call) {
  const { call: name, ids = [], args = {}, options, take = "value" } = call;
  const report = {};
  try {
    const done = await special(client, name, call);
    if (done) return done;
    const [noun, verb] = name.split(".");
    const nouns = take === "raw" ? client.raw : client;
    const params = takesParams(nouns[noun][verb]) ? [named(args)] : [];
    const made = nouns[noun][verb](...ids, ...params, options);
    Object.assign(report, await takers[take](made, report, call));
  } catch (error) {
    report.error = described(error);
  }
  return report;
}

function takesParams(method) {
  return /\bparams\b/.test(String(method).split(")", 1)[0]);
}

const document = await json(process.stdin);
const answer = {};
try {
  const client = document.client && new CygniClient(document.client);
  answer.calls = [];
  for (const call of document.calls) answer.calls.push(await perform(client, call));
} catch (error) {
  answer.client = { error: described(error) };
}
process.stdout.write(JSON.stringify(answer));
