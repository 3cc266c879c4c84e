// A browser on the page, that notices everything it should not see.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

export const URL_ = process.env.PAGE_URL;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf-8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/** Views by the model that they are looked at with. */
export const VIEWS = {
  char: ["write", "read", "units", "whatif", "compare", "draft", "dialogue"],
  reviews: ["classify"],
  numbers: ["classify"],
  tags: ["tag"],
  series: ["forecast"],
  french: ["translate"],
  digits: ["transcribe"],
};
export const LOOKS = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  narrow: { viewport: { width: 320, height: 800 } },
};

let browser = null;
export async function launch() {
  browser ||= await chromium.launch({ executablePath: process.env.PAGE_CHROMIUM, args: ["--no-sandbox"] });
  return browser;
}
export async function close() {
  await browser?.close();
  browser = null;
}

/** A page of its own; `page.wrong` collects errors, reports of the policy and foreign requests. */
export async function visit(options = {}, { hash = "", route = null } = {}) {
  const context = await (await launch()).newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.wrong = [];
  page.expected = [];
  page.on("pageerror", (error) => page.wrong.push(`error: ${error.message}`));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && page.wrong.push(`console: ${message.text()}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(URL_) && !url.startsWith("data:") && !url.startsWith("blob:")) page.wrong.push(`foreign: ${url}`);
  });
  await page.addInitScript(() => {
    window.reports = [];
    document.addEventListener("securitypolicyviolation", (event) => window.reports.push(event.violatedDirective + " " + event.blockedURI));
  });
  if (route) await route(page);
  await page.goto(`${URL_}/${hash}`);
  return page;
}

/** The page is quiet: nothing went wrong that the test did not expect. */
export async function quiet(page) {
  assert.deepEqual(await page.evaluate(() => window.reports), []);
  const wrong = page.wrong.filter((text) => !page.expected.some((part) => text.includes(part)));
  assert.deepEqual(wrong, []);
  await page.context().close();
}

/** Choose a model and a view, by keyboard, and wait until the view has its numbers. */
export async function open(page, model, view) {
  await page.waitForSelector("#model option", { state: "attached" });
  if ((await page.inputValue("#model")) !== model) await page.selectOption("#model", model);
  const tab = page.locator(`nav button[data-view=${view}]`);
  await tab.focus();
  await page.keyboard.press("Enter");
  await settled(page, view);
  await GIVE[view]?.(page);
}

/** What a view is given before it has something to show, by keyboard. */
const GIVE = {
  async forecast(page) {
    await page.getByLabel("Table, as CSV with a line of names").fill(readFileSync(`${process.env.PAGE_INPUTS}/series.csv`, "utf-8"));
    await page.getByRole("button", { name: "Forecast" }).last().press("Enter");
    await page.waitForSelector("figure");
  },
  async transcribe(page) {
    await page.getByLabel("Recording").setInputFiles(`${process.env.PAGE_INPUTS}/sound0.wav`);
    await page.waitForSelector("figure");
  },
  async dialogue(page) {
    if (await page.locator(".talk li").count()) return;
    await page.getByLabel("Your turn").press("t");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelector("#live").textContent !== "");
  },
};

const READY = {
  write: ".bars button:not([disabled])", read: ".facts dd", units: ".says >> nth=2", whatif: ".says >> nth=2",
  classify: ".says", tag: ".says", forecast: ".says", translate: ".says", transcribe: ".says",
  compare: ".says", draft: ".reading.short span", dialogue: "form",
};
export async function settled(page, view) {
  await page.waitForSelector(READY[view], { timeout: 25_000 });
  await page.waitForTimeout(60);
}

/** What axe finds wrong: [rule, elements]. */
export async function violations(page) {
  await page.evaluate(AXE); // through the debugger, so that the page's policy stays as it is
  return page.evaluate(async (tags) => {
    const found = await window.axe.run(document, { runOnly: { type: "tag", values: tags } });
    return found.violations.map((one) => [one.id, one.nodes.slice(0, 3).map((node) => node.target.join(" ") + ": " + node.failureSummary)]);
  }, TAGS);
}
