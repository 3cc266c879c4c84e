// How long a key stroke takes to the bars, and a heat map of 512 units × 2,000 tokens: figures alone.

import { close, settled, visit } from "./browser.mjs";

const page = await visit();
await settled(page, "write");
await page.locator("input.typed").focus();
await page.evaluate(() => {
  window.times = [];
  let begun = 0;
  document.addEventListener("input", (event) => (begun = event.timeStamp), true);
  const note = () => begun && window.times.push(performance.now() - begun) && (begun = 0);
  new MutationObserver(note).observe(document.querySelector(".bars"), { subtree: true, childList: true, characterData: true });
});
for (const letter of "the cat sat on the big mat and the dog ran ".repeat(4)) {
  await page.keyboard.type(letter);
  await page.waitForTimeout(60);
}
const times = (await page.evaluate(() => window.times)).sort((a, b) => a - b);
const at = (share) => times[Math.floor(share * (times.length - 1))].toFixed(1);
console.log(`key stroke to bars: ${times.length} keys, median ${at(0.5)} ms, p95 ${at(0.95)} ms`);

const heat = await page.evaluate(async () => {
  const { heat } = await import("/static/plot.js");
  const { pixels, amount } = await import("/static/colour.js");
  const canvas = document.createElement("canvas");
  document.querySelector("main").append(canvas);
  const values = Float32Array.from({ length: 512 * 2000 }, Math.random);
  const draw = heat(canvas, { rows: 512, columns: 2000, at: (r, c) => values[r * 2000 + c], table: () => pixels(amount), height: 512 });
  const found = [];
  for (let k = 0; k < 20; k += 1) {
    const begun = performance.now();
    draw();
    canvas.getContext("2d").getImageData(0, 0, 1, 1); // drawn, not only noted
    found.push(performance.now() - begun);
  }
  return found.sort((a, b) => a - b);
});
console.log(`heat map of 512 × 2,000: median ${heat[10].toFixed(0)} ms, most ${heat[19].toFixed(0)} ms`);
await close();
