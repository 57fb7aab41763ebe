// The service, asked. A failure is a problem document, whatever it was.

import { compact, parse } from "./json.js";

export class Refused extends Error {
  constructor(problem, kept = {}) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
    this.kept = kept;
  }
}

const unreachable = () => new Refused({
  code: "unreachable",
  title: "The service does not answer",
  detail: "The request did not reach the service. Is it running, and is the network up?",
});

async function ask(path, options) {
  let response;
  let text;
  try {
    response = await fetch(path, options);
    text = await response.text();
  } catch {
    throw unreachable();
  }
  const kind = response.headers.get("content-type") ?? "";
  let body = text;
  try {
    if (kind.includes("json")) body = parse(text);
  } catch (error) {
    throw new Refused({ code: "no_json", title: "The answer cannot be read", detail: `${path} gave something that is not what it says it is: ${error.message}` });
  }
  // Whether it is the stored answer of an earlier request with its key.
  const kept = { replayed: response.headers.get("idempotency-replayed") === "true", decision: response.headers.get("decision-id") };
  const answer = { body, text, status: response.status, id: response.headers.get("x-request-id"), kept };
  if (response.ok) return answer;
  if (kind.includes("problem+json")) throw new Refused(body, kept);
  throw new Refused({ code: `http_${response.status}`, title: `The service answered ${response.status}`, detail: "" });
}

const JSON_TYPE = { "Content-Type": "application/json" };

// The token of whoever looks on, where the service asks for one; kept in the memory of this page alone.
let caller = null;
// Asks somebody for a token; told whether one was refused. The page puts it here.
let asker = async () => null;
let asking = null;

export const askBy = (ask) => { asker = ask; };

// Asks for another token than `used`, once for all who want one; whether there is one.
export async function renew(used = caller) {
  if (used !== caller) return true;
  asking ??= asker(used !== null).finally(() => { asking = null; });
  const given = await asking;
  if (given) caller = given;
  return Boolean(given);
}

export const present = () => caller;
export const bearer = (token = caller) => (token ? { Authorization: `Bearer ${token}` } : {});

// Does `work`, with another token where the present one is not good (any more).
async function asCaller(work) {
  for (;;) {
    const used = caller;
    try {
      return await work();
    } catch (error) {
      if (error.problem?.code !== "unauthorized" || !(await renew(used))) throw error;
    }
  }
}

const get = async (path) => (await asCaller(() => ask(path, { headers: bearer() }))).body;

// The flows; null of a service that answers for one domain (`tributary domain`), which has nodes in place of flows.
export async function flows() {
  try {
    return (await get("/flows")).flows;
  } catch (error) {
    if (error.problem?.code === "method_not_allowed") return null;
    throw error;
  }
}
// The nodes for which such a service answers, by name.
export const nodes = async () => (await asCaller(() => ask("/", { headers: { Accept: "application/json", ...bearer() } }))).body.nodes;
export const flow = (name) => get(`/console/flows/${encodeURIComponent(name)}`);
export const picture = (name) => get(`/flows/${encodeURIComponent(name)}/graph?format=json`);

// A decision; with facts replaced where `set` names any, for which `token` is the admin's; written where there is a `key`.
export async function decide(path, input, set, { token = null, key = null } = {}) {
  const supposes = Object.keys(set).length > 0;
  const body = compact(supposes ? { input, set } : input);
  const url = `${path}${supposes ? "/what-if" : ""}?explain=true`;
  const keyed = key === null ? {} : { "Idempotency-Key": key };
  const send = () => ask(url, { method: "POST", headers: { ...JSON_TYPE, ...keyed, ...bearer(token ?? undefined) }, body });
  return token ? send() : asCaller(send);
}

// What changes a decision: the values of one fact at which the outcome is another.
export async function flip(path, input, set, fact, token) {
  const body = compact({ input, set, facts: [fact] });
  return (await ask(`${path}/flip`, { method: "POST", headers: { ...JSON_TYPE, ...bearer(token) }, body })).body.flips[0];
}

export async function asTest(name, input, set, token) {
  const body = compact({ input, set });
  const send = () => ask(`/console/flows/${encodeURIComponent(name)}/test`, { method: "POST", headers: { ...JSON_TYPE, ...bearer(token ?? undefined) }, body });
  return (await (token ? send() : asCaller(send))).text;
}

export const restart = (domain, token) =>
  ask(`/admin/domains/${encodeURIComponent(domain)}/restart`, { method: "POST", headers: bearer(token) });

// Effects that wait for an approval, one of them with what has changed since, and what is done with it.
const resolving = (path, token, options = {}) => ask(`/approvals${path}`, { ...options, headers: { ...options.headers, ...bearer(token) } }).then(({ body }) => body);
export const approvals = (token) => resolving("", token);
export const approval = (id, token) => resolving(`/${encodeURIComponent(id)}`, token);
export const resolve = (id, body, token) => resolving(`/${encodeURIComponent(id)}`, token, { method: "POST", headers: JSON_TYPE, body: compact(body) });

// What went wrong, as a problem: also where it was the page itself.
export const problemOf = (error) => error.problem ?? { code: "page", title: "Something in this page went wrong", detail: String(error) };

// The same request for a terminal.
export function curl(path, input, set, key) {
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const supposes = Object.keys(set).length > 0;
  const lines = [
    `curl -s ${quote(`${location.origin}${path}${supposes ? "/what-if" : ""}?explain=true`)}`,
    "-H 'Content-Type: application/json'",
  ];
  if (key) lines.push(`-H ${quote(`Idempotency-Key: ${key}`)}`);
  if (supposes) lines.push('-H "Authorization: Bearer $ADMIN_TOKEN"');
  else if (caller) lines.push('-H "Authorization: Bearer $TOKEN"');
  lines.push(`-d ${quote(compact(supposes ? { input, set } : input))}`);
  return lines.join(" \\\n  ");
}
