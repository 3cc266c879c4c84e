// Blind: two models write on from the same text, names hidden; the reader chooses.

import { button, el, field, figure, row } from "./dom.js";
import { download, picture } from "./picture.js";
import { passage } from "./read.js";
import { wins } from "./statistics.js";

const LENGTH = 200; // tokens of a text

export class Blind {
	constructor(root, app, other) {
		Object.assign(this, { app, other, choices: [], turn: 0 });
		this.start = field("Beginning", "textarea", { rows: 2, value: passage(app).split(/(?<=\n)/)[0].slice(0, 60) });
		this.sides = [0, 1].map((k) => el("p", { class: "reading short", tabindex: "0", role: "region", "aria-label": `Text ${"AB"[k]}` }));
		this.score = el("p", { class: "meter" }, "No choice yet. Names are shown in the file.");
		const choose = [button(["A is better ", el("kbd", {}, "1")], () => this.choose(0)), button(["B is better ", el("kbd", {}, "2")], () => this.choose(1)),
			button(["Neither ", el("kbd", {}, "0")], () => this.choose(null))];
		root.append(
			el("div", { class: "card" }, this.start.wrap, row(button("New pair", () => this.pair(), { class: "main" }))),
			picture("Two texts", el("div", {}, el("div", { class: "even" }, this.sides.map((side, k) => el("div", {}, el("h4", {}, `Text ${"AB"[k]}`), side))),
				row(choose), this.score, button("Save choices as JSON", () => this.save())), [
				"The same beginning, written on by two models with the same settings; which is which changes by chance at every pair.",
				"Perplexity says how well a model expects a text, and not how well it writes one: that is for readers to say.",
				"Choose thirty times: the interval of the share of wins then has a width of some 35 percent points.",
			]));
		this.pair();
	}

	async pair() {
		const { app } = this;
		const turn = (this.turn += 1);
		this.stopping?.abort();
		this.stopping = new AbortController();
		const { signal } = this.stopping;
		const swapped = crypto.getRandomValues(new Uint8Array(1))[0] % 2 === 1;
		const models = swapped ? [this.other(), app.card.id] : [app.card.id, this.other()];
		const { temperature, top_k, top_p } = app.settings;
		const seed = crypto.getRandomValues(new Uint32Array(1))[0];
		const texts = ["", ""];
		for (const side of this.sides) side.textContent = "…";
		this.now = null;
		await app.run(() => Promise.all(models.map((model, k) => {
			const { vocab } = app.writers.find((card) => card.id === model).recurra;
			const body = { model, prompt: this.start.control.value, max_tokens: LENGTH, temperature, top_p, top_k: Math.min(top_k, vocab), seed };
			return app.backend.write(body, ({ text }) => (texts[k] += text), signal);
		})));
		if (turn !== this.turn || signal.aborted) return;
		this.sides.forEach((side, k) => (side.textContent = texts[k]));
		this.now = { models, texts, seed, beginning: this.start.control.value, settings: { temperature, top_k, top_p, max_tokens: LENGTH } };
		app.announce("Two texts are there.");
	}

	choose(side) {
		if (!this.now) return;
		this.choices.push({ ...this.now, choice: side === null ? null : this.now.models[side] });
		const [one, two] = [this.app.card.id, this.other()];
		const mine = this.choices.filter((c) => c.models.includes(one) && c.models.includes(two));
		const count = (name) => mine.filter((c) => c.choice === name).length;
		this.result = { of: one, against: two, ...wins(count(one), count(two), mine.filter((c) => c.choice === null).length) };
		const { n, low, high } = this.result;
		this.score.textContent = `${n} choices. The interval of the share of wins is ${figure(100 * (high - low), 2)} percent points wide; whose it is, the file says.`;
		this.pair();
	}

	save() {
		const text = JSON.stringify({ format: "recurra.choices", version: 1, result: this.result ?? null, choices: this.choices }, null, 1);
		download(`data:application/json;charset=utf-8,${encodeURIComponent(text)}`, "choices.json");
	}

	key(key) {
		if (key === "1" || key === "2") this.choose(Number(key) - 1);
		else if (key === "0") this.choose(null);
		else return false;
		return true;
	}

	leave() {
		this.turn += 1;
		this.stopping?.abort();
	}
}
