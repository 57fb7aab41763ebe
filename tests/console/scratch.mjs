import { chromium } from "playwright-core";
import { readFile } from "node:fs/promises";
const base = process.env.BASE ?? "http://127.0.0.1:18080";
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const plans = {
  flow: ["#/flow/purchasing", 1440, 900], node: ["#/flow/purchasing/supplier_info", 1440, 900], rules: ["#/flow/purchasing/create_po", 1440, 900],
  domains: ["#/domains", 1440, 900], play: ["#/play/purchasing?product_id=PROD-001&run=1", 1440, 900],
  phone: ["#/flow/purchasing", 360, 740], phonenode: ["#/flow/purchasing/create_po", 360, 740], phonedomains: ["#/domains", 360, 740], phoneplay: ["#/play/purchasing?product_id=PROD-001&run=1", 360, 740],
  problem: ["#/play/purchasing?product_id=NOPE&run=1", 1440, 900],
};
const [which, scheme = "light", full] = process.argv.slice(2);
for (const name of which.split(",")) {
  const [hash, width, height] = plans[name];
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, bypassCSP: false });
  const page = await context.newPage();
  page.on("console", (m) => console.log(name, m.type(), m.text()));
  page.on("pageerror", (e) => console.log(name, "PAGEERROR", e.stack));
  await page.route("**/console/assets/**", async (route) => {
    const file = route.request().url().split("/").pop();
    const type = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" }[file.split(".").pop()];
    await route.fulfill({ contentType: type, body: await readFile(new URL(`../../src/http/console/page/${file}`, import.meta.url)) });
  });
  await page.goto(base + "/" + hash);
  await page.waitForTimeout(1800);
  await page.screenshot({ path: `/tmp/shots/${name}-${scheme}.png`, fullPage: full === "full" });
  await context.close();
}
await browser.close();
