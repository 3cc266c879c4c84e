// A picture with what it says: three sentences, the same numbers as a table, and a file to keep.

import { button, el, fill, table } from "./dom.js";
import { chart, strip } from "./plot.js";

/** `says`: what one sees, why it matters, what to try. `numbers()` makes the table, or null.
 *  `canvas`: what is saved as PNG, where there is one. */
export function picture(title, content, says, { numbers = null, canvas = null, name = "recurra" } = {}) {
	const below = el("div", { class: "below" });
	if (canvas) below.append(button("Save PNG", () => save(canvas, name), { "aria-label": `Save PNG: ${title}` }));
	if (numbers) {
		const inside = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}: numbers` });
		const more = el("details", { class: "numbers" }, el("summary", {}, "The same as numbers"), inside);
		more.addEventListener("toggle", () => more.open && fill(inside, numbers()));
		below.append(more);
	}
	const said = ["See", "Why", "Try"].flatMap((word, k) => [el("dt", {}, word), el("dd", {}, says[k])]);
	return el("figure", { class: "card" },
		el("figcaption", {}, el("h3", {}, title)), content, el("dl", { class: "says" }, said), below);
}

/** A picture of lines, as of `chart`, with their numbers as a table. */
export function curve(title, spec, says, name) {
	const canvas = drawn(title);
	chart(canvas, spec);
	const { lines } = spec;
	const xs = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
	const heads = [spec.xLabel, ...lines.map((line) => line.name || spec.yLabel)];
	const at = lines.map((line) => new Map(line.x.map((x, k) => [x, line.y[k]])));
	const rows = () => xs.map((x) => [x, ...at.map((line) => line.get(x) ?? null)]);
	return picture(title, canvas, says, { canvas, name, numbers: () => table(title, heads, rows()) });
}

function save(canvas, name) {
	const whole = document.createElement("canvas");
	whole.width = canvas.width;
	whole.height = canvas.height;
	const context = whole.getContext("2d");
	context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--surface");
	context.fillRect(0, 0, whole.width, whole.height);
	context.drawImage(canvas, 0, 0);
	download(whole.toDataURL("image/png"), `${name}.png`);
}

/** Hand a file to the user. */
export function download(url, name) {
	const link = el("a", { href: url, download: name });
	document.body.append(link);
	link.click();
	link.remove();
}

/** What colours mean, from one value to another. */
export function legend(low, scale, high) {
	const canvas = drawn(`From ${low} to ${high}`);
	strip(canvas, scale);
	return el("div", { class: "legend" }, low, canvas, high);
}

/** A canvas that is announced as a picture. */
export function drawn(label) {
	return el("canvas", { role: "img", "aria-label": label });
}
