// Every view in light, in dark and at 320 px: WCAG 2.2 AA, nothing that scrolls sideways, nothing in
// the console, no report of the policy, no request to elsewhere.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { close, LOOKS, open, quiet, VIEWS, violations, visit } from "./browser.mjs";

after(close);

for (const [look, options] of Object.entries(LOOKS)) {
  for (const [model, views] of Object.entries(VIEWS)) {
    test(`${model} in ${look}`, async () => {
      const page = await visit({ ...options, reducedMotion: "reduce" });
      for (const view of views) {
        await open(page, model, view);
        for (const more of await page.locator("details.numbers summary").all()) await more.click();
        assert.deepEqual(await violations(page), [], view);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.ok(wide <= 0, `${view} is ${wide} px too wide`);
      }
      await quiet(page);
    });
  }
}

test("dialogs and errors", async () => {
  const page = await visit();
  await open(page, "char", "write");
  await page.keyboard.press("?");
  assert.deepEqual(await violations(page), []);
  await page.keyboard.press("Escape");
  await page.locator("#settings summary").click();
  assert.deepEqual(await violations(page), []);
  page.expected.push("503");
  const error = { message: "the server is shutting down", type: "server_error", param: null, code: "draining" };
  await page.route("**/v1/score", (route) => route.fulfill({ status: 503, json: { error } }));
  await page.locator("#view").focus();
  await page.keyboard.press("1");
  await page.waitForSelector("[role=alert]");
  assert.deepEqual(await violations(page), []);
  await quiet(page);
});
