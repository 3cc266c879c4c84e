// Every view by keyboard alone: no test here touches a mouse.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { close, open, quiet, visit } from "./browser.mjs";

after(close);

const text = (page) => page.evaluate(() => [...document.querySelectorAll(".reading span")].map((span) => span.textContent).join(""));
const until = (page, work, given) => page.waitForFunction(work, given, { timeout: 8000 });

test("write: take, draw, stop, go back, branch, type", async () => {
  const page = await visit();
  await open(page, "char", "write");
  const count = await page.locator(".reading span").count();
  await page.locator("#view").focus();
  await page.keyboard.press("2");
  await until(page, (n) => document.querySelectorAll(".reading span").length === n + 1, count);
  await page.keyboard.press("Enter");
  await until(page, (n) => document.querySelectorAll(".reading span").length === n + 2, count);
  await page.keyboard.press(" ");
  await until(page, (n) => document.querySelectorAll(".reading span").length > n + 20, count);
  await page.keyboard.press("Escape");
  await until(page, () => document.querySelector(".bars button:not([disabled])"));
  for (let k = 0; k < 5; k += 1) await page.keyboard.press("ArrowLeft");
  assert.equal(await page.locator(".reading span.ahead").count(), 5);
  await page.waitForTimeout(300);
  const other = await page.evaluate(() => {
    const ahead = document.querySelector(".reading span.ahead").textContent;
    return 1 + [...document.querySelectorAll(".bars .piece")].findIndex((piece) => piece.textContent !== ahead.replace(" ", "␣"));
  });
  await page.keyboard.press(String(other));
  await page.waitForTimeout(300);
  assert.equal(await page.locator(".reading span.ahead").count(), 0);
  const branch = await text(page);
  await page.keyboard.press("[");
  await page.waitForTimeout(300);
  assert.notEqual(await text(page), branch);
  await page.keyboard.press("]");
  await page.waitForTimeout(300);
  assert.equal(await text(page), branch);
  await page.keyboard.press("p");
  await page.keyboard.press("[");
  await page.waitForTimeout(300);
  await page.keyboard.press("b");
  await until(page, () => document.querySelector("#live").textContent.startsWith("Both"));
  await page.locator("input.typed").focus();
  await page.keyboard.type("the cat");
  await until(page, () => [...document.querySelectorAll(".reading span")].map((s) => s.textContent).join("").endsWith("the cat"));
  await page.keyboard.press("Backspace");
  await until(page, () => [...document.querySelectorAll(".reading span")].map((s) => s.textContent).join("").endsWith("the ca"));
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelector("input.typed").value === "");
  await quiet(page);
});

test("single keys can be switched off, and settings are kept", async () => {
  const page = await visit();
  await open(page, "char", "write");
  await page.locator("#settings summary").focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("0.5");
  await page.keyboard.press("Tab");
  assert.match(await page.locator("#settings summary").innerText(), /^T 0\.5/);
  for (let k = 0; k < 3; k += 1) await page.keyboard.press("Tab");
  await page.keyboard.press(" ");
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.querySelector("#settings").open), false);
  await page.keyboard.press("u");
  assert.equal(await page.locator("nav button[aria-current]").innerText(), "Write");
  await quiet(page);
});

test("read: a text, its tokens, the numbers, a picture", async () => {
  const page = await visit();
  await open(page, "char", "read");
  await page.getByLabel("Text", { exact: true }).first().focus();
  await page.keyboard.press("Control+A");
  await page.keyboard.type("the cat sat on the mat");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelectorAll(".reading span").length === 22);
  await page.getByLabel("Token", { exact: true }).focus();
  for (let k = 0; k < 4; k += 1) await page.keyboard.press("ArrowRight");
  assert.match(await page.locator("#live").innerText(), /^Token 5, c: [\d.]+ bits; expected/);
  await page.locator("details.numbers summary").first().focus();
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelectorAll("details.numbers tbody tr").length === 22);
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save PNG: Bits along the text" }).focus();
  await page.keyboard.press("Enter");
  assert.equal((await saved).suggestedFilename(), "bits.png");
  await quiet(page);
});

test("units: layer, gate, order, unit, token, hold", async () => {
  const page = await visit();
  await open(page, "char", "units");
  await page.getByLabel("Gate or state").focus();
  await page.keyboard.press("Home");
  await until(page, () => document.querySelector("select[id]") && [...document.querySelectorAll("select")].some((s) => s.value === "i"));
  await page.waitForTimeout(300);
  await page.locator("#view").focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowRight");
  const said = await page.locator("#live").innerText();
  assert.match(said, /^Unit \d+: /);
  await page.getByRole("button", { name: "Hold it at its mean" }).focus();
  await page.keyboard.press("Enter");
  await until(page, () => [...document.querySelectorAll(".meter")].some((p) => / held at .* bits more over /.test(p.textContent)));
  await quiet(page);
});

test("what if: place, token, another token", async () => {
  const page = await visit();
  await open(page, "char", "whatif");
  const said = () => page.locator("main .meter").first().innerText();
  const before = await said();
  await page.locator("#view").focus();
  await page.keyboard.press("ArrowRight");
  await until(page, (old) => document.querySelector("main .meter").textContent !== old, before);
  await page.getByLabel("or by").focus();
  await page.keyboard.type("t");
  await page.keyboard.press("Enter");
  await until(page, () => / becomes t\./.test(document.querySelector("main .meter").textContent));
  await quiet(page);
});
