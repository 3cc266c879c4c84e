// Translate: a translation, and where the network looked while it wrote each token.

import { amount, pixels } from "./colour.js";
import { arrow, button, el, facts, field, figure, fill, sheet, slider, table, visible } from "./dom.js";
import { drawn, legend, picture } from "./picture.js";
import { heat } from "./plot.js";
import { Reading, shaded } from "./text.js";

export const translate = {
	id: "translate",
	title: "Translate",
	lead: "One sequence in, another out. Attention says which part of the source each token of the translation came from.",
	fits: (card) => card.recurra.task === "translator",
	keys: [["← →", "the token before, or behind"]],
	mount: (root, app) => new Translate(root, app),
};

class Translate {
	constructor(root, app) {
		Object.assign(this, { app, at: 0 });
		this.text = field("Source", "text", { class: "typed", value: "abcdef", "data-enter": "1" });
		this.text.wrap.className = "field stacked";
		this.text.control.addEventListener("keydown", (event) => event.key === "Enter" && !event.isComposing && this.look());
		this.out = el("div", { class: "stack" });
		root.append(sheet([this.text], [button("Translate", () => this.look(), { class: "main" })]), this.out);
		this.look();
	}

	async look() {
		const { app } = this;
		const text = this.text.control.value;
		if (!text.trim()) return;
		await app.run(async () => {
			const [found] = await app.backend.task("translate", app.card.id, [text], { details: true });
			if (this.out.isConnected) this.show(found);
		});
	}

	show(found) {
		const { attention } = found;
		this.attention = null;
		if (!attention) {
			fill(this.out, el("p", { class: "says" }, "The translation is empty."));
			return;
		}
		this.attention = attention;
		const { source, target, weights } = attention;
		const canvas = drawn("Attention: tokens of the translation by tokens of the source");
		this.said = el("p", { class: "meter" }, " ");
		const place = slider("Token of the translation", weights.length - 1, (k) => this.choose(k));
		this.place = place.control;
		this.from = new Reading("Source", { short: true, look: (item, span, k, light) => shaded(span, weights[this.at][k], light) });
		this.to = new Reading("Translation", { short: true, pick: (k) => this.choose(k), look: (item, span, k) => (span.className = k === this.at ? "here" : "") });
		const gap = source.some((token) => token.length > 1) ? " " : "";
		fill(this.out,
			facts([[`ln P ${figure(found.logprob)}`, found.text]]),
			picture("Where it looked", el("div", {}, this.to.box, this.from.box, place.wrap, this.said), [
				"Above the translation, below the source, shaded by how much the chosen token looked at each part.",
				"Without attention all of the source has to fit into one state; with it the network looks again at every step.",
				"Move through the translation, and watch whether the look goes along, or jumps.",
			], { numbers: () => table("Attention", ["Token", ...source.map(visible)], weights.map((row, k) => [visible(target[k] ?? "end"), ...row])) }),
			picture("Attention", el("div", {}, canvas, legend("0", amount, "1")), [
				"A row is a token of the translation, a column one of the source; bright is where it looked.",
				"A diagonal means the same order in both; a bright column is a token that much depends on.",
				"Give it a source that is longer than those it was trained on.",
			], { canvas, name: "attention" }));
		const height = (width) => Math.min(420, Math.max(80, (width / source.length) * weights.length));
		this.draw = heat(canvas, {
			rows: weights.length, columns: source.length, table: pixels(amount), height,
			at: (r, c) => weights[r][c], cross: () => [this.at, weights[this.at].indexOf(Math.max(...weights[this.at]))], onPick: (r) => this.choose(r),
		});
		this.at = 0;
		this.from.show(source.map((text) => ({ text: text + gap })));
		this.to.show(weights.map((_, k) => ({ text: (target[k] ?? "⏹") + gap })));
		this.choose(0);
	}

	choose(at) {
		const { source, target, weights } = this.attention;
		this.at = Math.max(0, Math.min(weights.length - 1, at));
		this.place.value = String(this.at);
		const order = weights[this.at].map((w, k) => [w, source[k]]).sort((a, b) => b[0] - a[0]).slice(0, 3);
		this.said.textContent = `${visible(target[this.at] ?? "end")} looked at ${order.map(([w, token]) => `${visible(token)} ${figure(100 * w, 2)} %`).join(", ")}`;
		this.app.announce(this.said.textContent);
		this.from.paint();
		this.to.paint();
		this.draw();
	}

	key(key) {
		if (!this.attention || !arrow(key)) return false;
		this.choose(this.at + arrow(key));
		return true;
	}
}
