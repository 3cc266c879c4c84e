// Tokens, texts and names that would be markup, or break a page that trusts them.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { close, open, quiet, URL_, VIEWS, visit } from "./browser.mjs";

after(close);

const HOSTILE = [
  "<img src=x onerror=window.hacked=1>", "</script><script>window.hacked=1</script>", "<svg onload=window.hacked=1>",
  "javascript:window.hacked=1", "\u202Eabc\u202C", "\u0000\u0007\u001b[31m", "\uD800", "__proto__", "constructor",
  "a".repeat(600), "\u2028\u2029", "&lt;b&gt;", "${window.hacked=1}", "{{hacked}}", "\u200B\uFEFF", "Z\u0351\u036B\u0343".repeat(40),
  "",
];

/** Replace every text of a reply by hostile ones. */
function spoil(value, k = { n: 0 }) {
  if (Array.isArray(value)) return value.map((one) => spoil(one, k));
  if (value === null || typeof value !== "object") return value;
  const made = {};
  for (const [key, inner] of Object.entries(value)) {
    if (["text", "token", "label"].includes(key)) made[key] = HOSTILE[(k.n += 1) % HOSTILE.length];
    else if (["texts", "pieces", "tokens", "words", "tags", "source", "target"].includes(key) && Array.isArray(inner) && typeof inner[0] === "string") {
      made[key] = inner.map(() => HOSTILE[(k.n += 1) % HOSTILE.length]);
    } else made[key] = spoil(inner, k);
  }
  return made;
}

async function spoiled(page) {
  await page.route(`${URL_}/v1/**`, (route) => answer(route).catch((error) => {
    if (!page.isClosed()) throw error; // a request that was under way when the page was closed
  }));
}

async function answer(route) {
  const reply = await route.fetch();
  const type = reply.headers()["content-type"] || "";
  if (reply.status() !== 200) return route.fulfill({ response: reply });
  if (type.startsWith("application/json")) return route.fulfill({ response: reply, json: spoil(await reply.json()) });
  const body = (await reply.text()).split("\n\n").map((event) => {
    if (!event.startsWith("data: {")) return event;
    return `data: ${JSON.stringify(spoil(JSON.parse(event.slice(6))))}`;
  });
  return route.fulfill({ response: reply, body: body.join("\n\n") });
}

for (const [model, views] of Object.entries(VIEWS)) {
  test(`hostile texts of ${model}`, async () => {
    const page = await visit({}, { route: spoiled });
    for (const view of views) {
      await open(page, model, view).catch((error) => assert.deepEqual(page.wrong, [], String(error)));
      const found = await page.evaluate(() => ({
        hacked: window.hacked ?? null,
        elements: document.querySelectorAll("img, main script, svg, iframe, object, embed, main style, main link").length,
      }));
      assert.deepEqual(found, { hacked: null, elements: 0 }, view);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${view} is ${wide} px too wide`);
    }
    await quiet(page);
  });
}

test("a model whose name is markup", async () => {
  const page = await visit();
  await open(page, "<svg onload", "write");
  assert.equal(await page.locator("svg").count(), 0);
  assert.equal(await page.inputValue("#model"), "<svg onload");
  await quiet(page);
});
