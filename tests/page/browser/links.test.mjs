// Links: restored to the same text, branches and state; damaged ones are refused in a sentence.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { close, open, quiet, visit } from "./browser.mjs";

after(close);

test("a link restores branches, settings, view and state", async () => {
  const page = await visit();
  await open(page, "char", "write");
  await page.locator("#view").focus();
  for (const count of [1, 2]) {
    await page.keyboard.press("ArrowLeft");
    await page.waitForFunction((n) => document.querySelectorAll(".reading span.ahead").length === n, count);
  }
  await page.waitForTimeout(300);
  await page.keyboard.press("3");
  await page.waitForTimeout(500);
  await page.locator("#link").focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => location.hash.startsWith("#v1."));
  const { hash, length } = await page.evaluate(() => ({ hash: location.hash, length: location.hash.length }));
  assert.ok(length <= 8192);
  const text = await page.locator(".reading").innerText();
  const other = await visit({}, { hash });
  await other.waitForFunction(() => document.body.dataset.restored);
  assert.equal(await other.evaluate(() => document.body.dataset.restored), "true");
  assert.equal(await other.locator(".reading").innerText(), text);
  await quiet(other);
  await quiet(page);
});

test("values survive, whatever they are", async () => {
  const page = await visit();
  const count = await page.evaluate(async () => {
    const { encode, decode } = await import("/static/link.js");
    let seed = 1;
    const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
    for (let round = 0; round < 200; round += 1) {
      const branches = [];
      let nodes = 1;
      for (let k = random(5); k >= 0; k -= 1) {
        const ids = Array.from({ length: 1 + random(60) }, () => random(2 ** 31 - 1));
        branches.push([random(nodes), ids]);
        nodes += ids.length;
      }
      const value = {
        model: ["m", "ü\u{1F600}", "<b>", "\u2028"][random(4)], sha: "ab12", view: "write", hash: random(2) ? "ff" : null, branches,
        at: random(nodes), settings: { temperature: random(200) / 100, top_k: random(1000), top_p: (1 + random(99)) / 100, seed: random(1e9) },
      };
      const link = await encode(value);
      if (JSON.stringify(await decode(link)) !== JSON.stringify(value)) return `round ${round}`;
    }
    return "all";
  });
  assert.equal(count, "all");
  await quiet(page);
});

test("whatever is damaged is refused, and nothing else happens", async () => {
  const page = await visit();
  const outcome = await page.evaluate(async () => {
    const { encode, decode, checked, LinkError } = await import("/static/link.js");
    const good = { model: "m", sha: "ab", view: "write", hash: null, branches: [[0, [1, 2, 3]], [2, [4]]], at: 4, settings: { temperature: 1, top_k: 0, top_p: 1, seed: 1 } };
    const link = await encode(good);
    let seed = 7;
    const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=<>\u0000é";
    let accepted = 0;
    for (let round = 0; round < 1500; round += 1) {
      let text = link;
      for (let k = random(4); k >= 0; k -= 1) {
        const at = 4 + random(text.length - 4);
        const kind = random(3);
        text = kind === 0 ? text.slice(0, at) : text.slice(0, at) + letters[random(letters.length)] + text.slice(kind === 1 ? at + 1 : at);
      }
      try {
        checked(await decode(text));
        accepted += 1;
      } catch (error) {
        if (!(error instanceof LinkError)) return `${error.name}: ${error.message} for ${text}`;
      }
    }
    const values = [null, 1, "x", [], NaN, -1, 1e99, {}, true, [[0, []]], [[9, [1]]], [[0, ["1"]]], [[0, [-1]]]];
    for (const key of [...Object.keys(good), "settings"]) {
      for (const value of values) {
        const changed = { ...good, [key]: value };
        try {
          checked(changed);
        } catch (error) {
          if (!(error instanceof LinkError)) return `${key}: ${error.name}`;
        }
      }
    }
    const bomb = "#v1." + btoa(String.fromCharCode(...new Uint8Array(await new Response(new Blob(["0".repeat(6_000_000)]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer()))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    const refused = await decode(bomb).then(() => false, (error) => error instanceof LinkError);
    return { refused, accepted: accepted < 1500 };
  });
  assert.deepEqual(outcome, { refused: true, accepted: true });
  await quiet(page);
});

test("a damaged link opens the page, and says so", async () => {
  for (const hash of ["#v1.", "#v1.AAAA", "#v1." + "A".repeat(9000), "#v1.%00"]) {
    const page = await visit({}, { hash });
    await page.waitForSelector("[role=alert]");
    assert.match(await page.locator("[role=alert]").innerText(), /^This link is damaged/);
    await quiet(page);
  }
});
