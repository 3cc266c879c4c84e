// Pictures of views for the documents, into a folder: of a model that is served as `shakespeare`,
// and one with a turn format, `chat`, where they are.

import { close, settled, visit } from "./browser.mjs";

const [folder] = process.argv.slice(2);
const page = await visit({ viewport: { width: 1400, height: 860 } });
await settled(page, "write");
const show = async (view) => {
  await page.click(`nav button[data-view=${view}]`);
  await settled(page, view);
  await page.waitForTimeout(600);
};
const shoot = async (name, from = null) => {
  if (from) await page.locator(from).first().scrollIntoViewIfNeeded();
  await page.screenshot({ path: `${folder}/page-${name}.png` });
};

await page.locator("#view").focus();
for (const key of ["ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft"]) await page.keyboard.press(key);
await page.waitForTimeout(400);
await page.keyboard.press("3");
await page.waitForTimeout(400);
await page.keyboard.press(" ");
await page.waitForTimeout(1200);
await page.locator("input.typed").pressSequentially("The k");
await page.waitForTimeout(500);
await shoot("write");
const text = "KING RICHARD III:\nWhat is the king, and where is all the crown?\nThe king is dead; the lords are gone to London.\n\nQUEEN ELIZABETH:\nMy lord, the king of England is my son.\n";
await show("read");
await page.fill("textarea", text);
await page.click("main button.main");
await page.waitForTimeout(700);
await shoot("read");
await show("whatif");
await page.waitForTimeout(700);
await page.evaluate(() => scrollTo(0, 190));
await shoot("whatif");
await show("units");
await page.getByLabel("Gate or state").selectOption("f");
await page.waitForTimeout(1200);
await page.locator("#view").focus();
for (let k = 0; k < 6; k += 1) await page.keyboard.press("ArrowDown");
for (let k = 0; k < 20; k += 1) await page.keyboard.press("ArrowRight");
await page.waitForTimeout(400);
await page.evaluate(() => scrollTo(0, 380));
await shoot("units");
if (await page.locator("#model option[value=chat]").count()) {
  await page.selectOption("#model", "chat");
  await page.evaluate(() => scrollTo(0, 0));
  await show("dialogue");
  for (const turn of ["Good morrow, my lord.", "Where is the king?"]) {
    await page.fill("input.typed", turn);
    await page.keyboard.press("Enter");
    await page.waitForTimeout(900);
  }
  await shoot("dialogue");
}
await close();
