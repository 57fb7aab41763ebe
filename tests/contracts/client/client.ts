// Decides with the types that openapi-typescript makes of the document of a running service. Each line marked `expect-error` is one
// that the compiler must refuse, so types that became `any` or lost a status fail to compile.
//
// Usage: node client.js URL

import createClient from "openapi-fetch";
import type { components, paths } from "./document.js";

type Decision = components["schemas"]["purchasing.decision"];

declare const process: { argv: string[] };

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

/** The status tells which fields there are. */
function ordered(decision: Decision): { id: string; quantity: number | null; total: number | null; due: string | null } | null {
  // @ts-expect-error: not every outcome has an order
  decision.purchase_order;
  switch (decision.status) {
    case "success": {
      const order = decision.purchase_order;
      // @ts-expect-error: a quantity is no text
      const wrong: string | null = order.order_qty;
      void wrong;
      return { id: order.product_id, quantity: order.order_qty, total: order.grand_total, due: order.expected_delivery_date };
    }
    case "no_order":
      check(decision.reason === null || decision.reason.length > 0, "a reason is text");
      return null;
    default: {
      // No other status is left.
      const none: never = decision;
      return none;
    }
  }
}

const client = createClient<paths>({ baseUrl: process.argv[2] ?? "" });

const decided = await client.POST("/purchasing/flow", { body: { product_id: "PROD-001" } });
check(decided.error === undefined && decided.data !== undefined, "PROD-001 is decided");
check(decided.data.status === "success", `PROD-001 is ordered: ${decided.data.status}`);
const order = ordered(decided.data);
check(order !== null && order.id === "PROD-001", "the order is of PROD-001");
check(typeof order.quantity === "number" && order.quantity > 0, `a quantity: ${order.quantity}`);
check(typeof order.total === "number" && order.total > 0, `a total: ${order.total}`);
check(/^\d{4}-\d\d-\d\d$/.test(order.due ?? ""), `a date: ${order.due}`);

const refused = await client.POST("/purchasing/flow", { body: { product_id: "NOPE" } });
check(refused.data === undefined && refused.error !== undefined, "NOPE is a problem");
// @ts-expect-error: no problem of this endpoint has this code
check(refused.error.code !== "no_such_code", "a code of the document");
check(refused.error.code === "not_found" && refused.error.status === 404, `NOPE: ${refused.error.code}`);
check(refused.error.detail.length > 0, "the problem says what happened");

// @ts-expect-error: the input is missing
const invalid = await client.POST("/purchasing/flow", { body: {} });
check(invalid.error?.code === "invalid_input", `no input: ${invalid.error?.code}`);
