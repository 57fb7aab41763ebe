// What the tests stand on: PostgreSQL servers of their own, the real program in front of them, and a browser.

import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { DENSE_FLOW, DENSE_ROWS, FORMS_FLOW, GUARDED_FLOW, GUARDED_RULES, HOSTILE_FLOW, HOSTILE_RULES, TABLE_FLOW, TABLE_ROWS, wideFlow } from "./flows.mjs";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const TOKEN = "a token for the tests";
export const CALLER = "a token of somebody who may ask for purchases";
const PG_BIN = needed("PG_BIN", "the directory of PostgreSQL's programs; scripts/install_postgres prints it");
const PROGRAM = needed("TRIBUTARY", "the built program, such as target/debug/tributary");
const CHROMIUM = needed("CHROMIUM", "a Chromium or Chrome");

function needed(name, what) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: ${what}. Run scripts/test_console, which sets it`);
  return value;
}

// The account of PostgreSQL's servers: they refuse to run as root.
function account() {
  if (process.getuid() !== 0) return {};
  for (const name of ["postgres", "nobody"]) {
    try {
      const id = (kind) => Number(execFileSync("id", [kind, name], { encoding: "utf8" }));
      return { uid: id("-u"), gid: id("-g") };
    } catch { /* there is no such account; the next */ }
  }
  throw new Error("as root there must be an account postgres or nobody");
}

// A port that nobody else takes while whoever has it is down: those from 32768 on are given to outgoing connections.
export async function freePort() {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    const server = createServer();
    const isFree = await new Promise((tell) => {
      server.once("error", () => tell(false));
      server.listen(port, "127.0.0.1", () => server.close(() => tell(true)));
    });
    if (isFree) return port;
  }
}

// Waits until `check` gives something true; what it throws meanwhile is told at the end.
export async function until(what, check, limit = 30_000) {
  const deadline = Date.now() + limit;
  let last;
  for (;;) {
    try {
      const value = await check();
      if (value) return value;
    } catch (error) { last = error; }
    if (Date.now() > deadline) throw new Error(`${what} did not come about within ${limit / 1000} s`, { cause: last });
    await new Promise((after) => { setTimeout(after, 50); });
  }
}

// One PostgreSQL server; it can be killed and started again on its port.
class Postgres {
  constructor(directory, port) {
    Object.assign(this, { directory, port, user: account() });
  }

  async start() {
    const log = openSync(join(this.directory, "log"), "a");
    const settings = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off", "max_connections=60", "shared_buffers=8MB", "unix_socket_directories=", "listen_addresses=127.0.0.1"];
    this.process = spawn(join(PG_BIN, "postgres"), ["-D", join(this.directory, "data"), "-p", String(this.port), ...settings.flatMap((setting) => ["-c", setting])], { ...this.user, cwd: this.directory, stdio: ["ignore", log, log] });
    await until(`the server at port ${this.port}`, () => {
      if (this.process.exitCode !== null) throw new Error(readFileSync(join(this.directory, "log"), "utf8"));
      return readFileSync(join(this.directory, "data/postmaster.pid"), "utf8").split("\n")[7]?.startsWith("ready");
    });
  }

  // SIGQUIT: every backend breaks off at once, as when the machine goes.
  async kill() {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = once(this.process, "exit");
    this.process.kill("SIGQUIT");
    await ended;
  }

  // Runs statements; gives what they return, a line for each row.
  sql(database, text) {
    return execFileSync(join(PG_BIN, "psql"), ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", String(this.port), "-U", "postgres", "-d", database], { input: text, encoding: "utf8", stdio: ["pipe", "pipe", "inherit"] }).trim();
  }

  url(database) { return `postgres://postgres@127.0.0.1:${this.port}/${database}`; }
}

// A server that is ready, made in a directory of its own.
async function postgres(home, name) {
  const directory = join(home, name);
  mkdirSync(directory, { mode: 0o700 });
  const user = account();
  if (user.uid !== undefined) chownSync(directory, user.uid, user.gid);
  const template = join(home, "first", "data");
  if (existsSync(template)) execFileSync("cp", ["-a", template, join(directory, "data")]);
  else execFileSync(join(PG_BIN, "initdb"), ["-D", join(directory, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"], { ...user, cwd: directory, stdio: ["ignore", "ignore", "inherit"] });
  return new Postgres(directory, await freePort());
}

// The service on two servers: `supplier` holds that one database and can be killed alone.
export class Service {
  static async start({ flows = ["graph.yaml", "hostile.yaml", "wide.yaml", "guarded.yaml", "forms.yaml", "table.yaml", "dense.yaml"], callers = false } = {}) {
    const service = new Service();
    service.home = mkdtempSync(join(tmpdir(), "tributary-console-"));
    execFileSync("chmod", ["711", service.home]);
    const first = await postgres(service.home, "first");
    const supplier = await postgres(service.home, "supplier");
    Object.assign(service, { first, supplier });
    await Promise.all([first.start(), supplier.start()]);
    const where = { oms_db: first, inventory_db: first, supplier_db: supplier, uom_db: first };
    service.environment = { ...process.env, ADMIN_TOKEN: TOKEN };
    for (const [database, server] of Object.entries(where)) {
      server.sql("postgres", `CREATE DATABASE ${database}`);
      server.sql(database, readFileSync(join(ROOT, "sql", `${database}.sql`), "utf8"));
      service.environment[`${database.toUpperCase()}_URL`] = server.url(database);
    }
    first.sql("oms_db", `CREATE ROLE tributary_writer LOGIN; ${readFileSync(join(ROOT, "sql/oms_db_writer.sql"), "utf8")}`);
    service.environment.OMS_DB_WRITE_USER = "tributary_writer";
    for (const part of ["graph.yaml", "rules"]) cpSync(join(ROOT, part), join(service.home, part), { recursive: true });
    const files = { "hostile.yaml": HOSTILE_FLOW, "hostile.grl": HOSTILE_RULES, "wide.yaml": wideFlow(), "guarded.yaml": GUARDED_FLOW, "guarded.grl": GUARDED_RULES, "forms.yaml": FORMS_FLOW, "table.yaml": TABLE_FLOW, "rates.csv": TABLE_ROWS, "dense.yaml": DENSE_FLOW, "dense.csv": DENSE_ROWS };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(service.home, name), text);
    service.flows = flows;
    // Whoever stops must not wait for those who listen: were it otherwise, this would take ten minutes.
    writeFileSync(join(service.home, "service.yaml"), `http: { drain_timeout_ms: 600000${callers ? ", tokens: tokens.yaml" : ""} }\n`);
    const digest = createHash("sha256").update(CALLER).digest("hex");
    writeFileSync(join(service.home, "tokens.yaml"), `tokens:\n- { name: erp, sha256: ${digest}, flows: [purchasing], rights: [decide, explain] }\n`);
    service.port = await freePort();
    await service.serve();
    return service;
  }

  get base() { return `http://127.0.0.1:${this.port}`; }

  // Has another service answer for a domain: `tributary domain`, which runs until this one is stopped. Its address.
  async delegate(domain) {
    const address = `127.0.0.1:${await freePort()}`;
    const log = openSync(join(this.home, `${domain}.log`), "a");
    this.delegates ??= [];
    this.delegates.push(spawn(PROGRAM, ["domain", domain, "--graph", "graph.yaml", "--bind", address], { cwd: this.home, env: this.environment, stdio: ["ignore", log, log] }));
    await until(`the service of ${domain}`, async () => (await fetch(`http://${address}/readyz`)).status === 200);
    return `http://${address}`;
  }

  // Starts the program, also once more after it has been killed.
  async serve() {
    const log = openSync(join(this.home, "service.log"), "a");
    const flows = this.flows.flatMap((file) => ["--graph", file]);
    this.process = spawn(PROGRAM, ["serve", ...flows, "--config", "service.yaml", "--bind", `127.0.0.1:${this.port}`], { cwd: this.home, env: this.environment, stdio: ["ignore", log, log] });
    await until("the service", async () => {
      if (this.process.exitCode !== null) throw new Error(readFileSync(join(this.home, "service.log"), "utf8"));
      return (await fetch(`${this.base}/readyz?verbose`)).status === 200 && (await fetch(`${this.base}/health`)).status === 200;
    });
  }

  // Stops the program in order.
  async end() {
    this.process.kill("SIGTERM");
    await until("the end of the service", () => this.process.exitCode !== null || this.process.signalCode !== null);
    return this.process.exitCode;
  }

  // Changes a file of the flows, and lets the service read them again.
  async reload(file, change) {
    const path = join(this.home, file);
    writeFileSync(path, change(readFileSync(path, "utf8")));
    const { status } = await fetch(`${this.base}/admin/reload`, { method: "POST", headers: { Authorization: `Bearer ${TOKEN}` } });
    if (status !== 200) throw new Error(`the reload gave ${status}`);
  }

  async stop() {
    for (const process of [this.process, ...(this.delegates ?? [])]) if (process?.exitCode === null) process.kill("SIGKILL");
    await Promise.all([this.first?.kill(), this.supplier?.kill()]);
    rmSync(this.home, { recursive: true, force: true });
  }
}

// With scroll bars, as people have them.
export const launch = () => chromium.launch({ executablePath: CHROMIUM, ignoreDefaultArgs: ["--hide-scrollbars"], args: ["--no-sandbox", "--disable-dev-shm-usage"] });

// A page whose every complaint is kept: of scripts, and of what its policy forbids.
export async function open(browser, service, hash, { width = 1280, height = 860, scheme = "light", ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, permissions: ["clipboard-read", "clipboard-write"], locale: "en-GB", timezoneId: "Europe/Berlin", ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(`error: ${error.stack}`));
  // That an answer is no success is told by the page itself; the browser's own line about it is no complaint.
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !/^Failed to load resource/.test(message.text())) complaints.push(message.text());
  });
  await page.goto(`${service.base}/${hash}`);
  return { page, complaints, close: () => context.close() };
}
