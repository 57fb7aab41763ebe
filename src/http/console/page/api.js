// The service, asked. A failure is a problem document, whatever it was.

import { compact, parse } from "./json.js";

export class Refused extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
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
  const body = kind.includes("json") ? parse(text) : text;
  const answer = { body, text, status: response.status, id: response.headers.get("x-request-id") };
  if (response.ok) return answer;
  if (kind.includes("problem+json")) throw new Refused(body);
  throw new Refused({ code: `http_${response.status}`, title: `The service answered ${response.status}`, detail: "" });
}

const JSON_TYPE = { "Content-Type": "application/json" };

// The token of whoever looks on, where the service asks for one; kept in the memory of this page alone.
let caller = null;

export const becomeCaller = (token) => { caller = token; };
export const bearer = (token = caller) => (token ? { Authorization: `Bearer ${token}` } : {});

const get = async (path) => (await ask(path, { headers: bearer() })).body;

export const flows = async () => (await get("/flows")).flows;
export const flow = (name) => get(`/console/flows/${encodeURIComponent(name)}`);
export const picture = (name) => get(`/flows/${encodeURIComponent(name)}/graph?format=json`);

// A decision; with facts replaced where `set` names any, for which `token` is the admin's.
export async function decide(path, input, set, token) {
  const supposes = Object.keys(set).length > 0;
  const body = compact(supposes ? { input, set } : input);
  const url = `${path}${supposes ? "/what-if" : ""}?explain=true`;
  return ask(url, { method: "POST", headers: { ...JSON_TYPE, ...bearer(token ?? undefined) }, body });
}

export async function asTest(name, input, set, token) {
  const options = { method: "POST", headers: { ...JSON_TYPE, ...bearer(token ?? undefined) }, body: compact({ input, set }) };
  return (await ask(`/console/flows/${encodeURIComponent(name)}/test`, options)).text;
}

export const restart = (domain, token) =>
  ask(`/admin/domains/${encodeURIComponent(domain)}/restart`, { method: "POST", headers: bearer(token) });

// The same request for a terminal.
export function curl(path, input, set) {
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const supposes = Object.keys(set).length > 0;
  const lines = [
    `curl -s ${quote(`${location.origin}${path}${supposes ? "/what-if" : ""}?explain=true`)}`,
    "-H 'Content-Type: application/json'",
  ];
  if (supposes) lines.push('-H "Authorization: Bearer $ADMIN_TOKEN"');
  else if (caller) lines.push('-H "Authorization: Bearer $TOKEN"');
  lines.push(`-d ${quote(compact(supposes ? { input, set } : input))}`);
  return lines.join(" \\\n  ");
}
