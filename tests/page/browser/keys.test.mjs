// Every view by keyboard alone: no test here touches a mouse.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { close, open, quiet, visit } from "./browser.mjs";

after(close);

const text = (page) => page.evaluate(() => [...document.querySelectorAll(".reading span")].map((span) => span.textContent).join(""));
const until = (page, work, given) => page.waitForFunction(work, given, { timeout: 25_000 });

test("write: take, draw, stop, go back, branch, type", async () => {
  const page = await visit();
  await open(page, "char", "write");
  const count = await page.locator(".reading span").count();
  await page.locator("#view").focus();
  const known = () => until(page, () => document.querySelector(".bars button:not([disabled])"));
  await page.keyboard.press("2");
  await until(page, (n) => document.querySelectorAll(".reading span").length === n + 1, count);
  await known();
  await page.keyboard.press("Enter");
  await until(page, (n) => document.querySelectorAll(".reading span").length === n + 2, count);
  await known();
  await page.keyboard.press(" ");
  await until(page, (n) => document.querySelectorAll(".reading span").length > n + 20, count);
  await page.keyboard.press("Escape");
  await known();
  const ahead = (n) => until(page, (count) => document.querySelectorAll(".reading span.ahead").length === count, n);
  for (let k = 1; k <= 5; k += 1) {
    await page.keyboard.press("ArrowLeft");
    await ahead(k);
  }
  await until(page, () => /^\S.*, [\d.]+ bits, token/.test(document.querySelector("#live").textContent));
  await page.waitForTimeout(300);
  const other = await page.evaluate(() => {
    const ahead = document.querySelector(".reading span.ahead").textContent;
    return 1 + [...document.querySelectorAll(".bars .piece")].findIndex((piece) => piece.textContent !== ahead.replace(" ", "␣"));
  });
  await page.keyboard.press(String(other));
  await ahead(0);
  const branch = await text(page);
  const shown = (same) => until(page, ([wanted, equal]) => (
    ([...document.querySelectorAll(".reading span")].map((span) => span.textContent).join("") === wanted) === equal
  ), [branch, same]);
  await page.keyboard.press("[");
  await shown(false);
  await page.keyboard.press("]");
  await shown(true);
  await page.keyboard.press("p");
  await page.keyboard.press("[");
  await shown(false);
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

test("compare: two beginnings, two models, blind", async () => {
  const page = await visit();
  await open(page, "char", "compare");
  const compared = () => until(page, () => /interval|too short/.test(document.querySelector("#live").textContent));
  await page.getByLabel("Text", { exact: true }).fill("the big cat sees a small dog.\nwe like the house and the tree.\n".repeat(3));
  await page.getByRole("button", { name: "Compare", exact: true }).last().press("Enter");
  await compared();
  await page.getByLabel("Compare", { exact: true }).selectOption("beginnings");
  await compared();
  await page.getByLabel("Compare", { exact: true }).selectOption("blind");
  for (const key of ["1", "2", "0"]) {
    await until(page, () => document.querySelector("#live").textContent === "Two texts are there.");
    await page.locator("#view").focus();
    await page.evaluate(() => (document.querySelector("#live").textContent = ""));
    await page.keyboard.press(key);
  }
  assert.match(await page.locator("main .meter").innerText(), /^3 choices\./);
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save choices as JSON" }).press("Enter");
  const { readFile } = await import("node:fs/promises");
  const choices = JSON.parse(await readFile(await (await saved).path(), "utf-8"));
  assert.equal(choices.choices.length, 3);
  assert.equal(choices.result.n, 3);
  assert.ok(choices.choices.every((one) => one.choice === null || one.models.includes(one.choice)));
  await quiet(page);
});

test("draft: a word, a line, others, own words", async () => {
  const page = await visit();
  await open(page, "char", "draft");
  const count = () => page.locator(".reading").first().locator("span").count();
  const before = await count();
  await page.locator("#view").focus();
  await page.keyboard.press("2");
  await until(page, (n) => document.querySelector(".reading").querySelectorAll("span").length > n, before);
  await page.keyboard.press(" ");
  await page.getByLabel("Your own words").focus();
  await page.keyboard.type("the cat");
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelector(".reading").textContent.endsWith("the cat"));
  await quiet(page);
});

test("dialogue: turns, another reply, a turn changed", async () => {
  const page = await visit();
  await open(page, "char", "dialogue");
  await until(page, () => /tokens were read/.test(document.querySelector("main .meter").textContent));
  await page.getByRole("button", { name: "Again" }).press("Enter");
  await until(page, () => document.querySelectorAll(".talk li").length > 0);
  await page.getByRole("button", { name: "Change turn 1" }).press("Enter");
  assert.equal(await page.locator(".talk li").count(), 0);
  assert.equal(await page.getByLabel("Your turn").inputValue(), "t");
  await quiet(page);
});

test("the tasks: words and tokens by arrow keys", async () => {
  const page = await visit();
  for (const [model, view] of [["tags", "tag"], ["french", "translate"]]) {
    await open(page, model, view);
    await page.waitForSelector("input[type=range]");
    const before = await page.locator("#live").innerText();
    await page.locator("#view").focus();
    await page.keyboard.press("ArrowRight");
    await until(page, (old) => document.querySelector("#live").textContent !== old, before);
  }
  await open(page, "reviews", "classify");
  await page.getByLabel("Text", { exact: true }).fill("an awful plot");
  await page.getByRole("button", { name: "Classify", exact: true }).last().press("Enter");
  await until(page, () => document.querySelectorAll(".reading span").length === 3);
  await quiet(page);
});

test("intervals are those of the book", async () => {
  const page = await visit();
  const found = await page.evaluate(async () => {
    const { paired, student, wins, byWord } = await import("/static/statistics.js");
    const blocks = [1, 2, 3, 4, 6].flatMap((x) => [x, 0]);
    return { t: [1, 2, 4, 9, 30].map(student), wilson: wins(8, 2), paired: paired(blocks, 2), words: byWord("ab cd", [0, 1, 3, 4], [null, Math.LN2, 2 * Math.LN2, 0]) };
  });
  [12.706, 4.303, 2.776, 2.262, 2.042].forEach((t, k) => assert.ok(Math.abs(found.t[k] / t - 1) < 0.004, `t ${found.t[k]} ${t}`));
  assert.ok(Math.abs(found.wilson.low - 0.4902) < 1e-3 && Math.abs(found.wilson.high - 0.9433) < 1e-3);
  // Sums 1 2 3 4 6: mean 3.2, deviation 1.9235, so that the sum is 16 +- 2.776 * 1.9235 * sqrt 5.
  assert.ok(Math.abs(found.paired.low - (16 - 11.94)) < 0.1 && found.paired.sum === 16);
  assert.deepEqual(found.words.map((word) => [word.text, Math.round(1000 * word.bits)]), [["ab ", 1000], ["cd", 2000]]);
  await quiet(page);
});
