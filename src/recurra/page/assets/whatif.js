// What if: another token at one place, and how long that can still be seen in what follows.

import { arrow, button, el, field, fill, sheet, slider, table, visible } from "./dom.js";
import { curve, picture } from "./picture.js";
import { begin, passage, read } from "./read.js";
import { bits, Reading, toned } from "./text.js";

export const whatif = {
	id: "whatif",
	title: "What if",
	lead: "Replace one token and leave all others as they are. How long does the network know the difference?",
	fits: (card) => Boolean(card.recurra.vocab) && card.recurra.task === "language_model",
	keys: [["← →", "the place before, or behind"]],
	mount: (root, app) => new WhatIf(root, app),
};

class WhatIf {
	constructor(root, app) {
		Object.assign(this, { app, turn: 0 });
		this.text = field("Text", "textarea", { rows: 3, value: passage(app) });
		this.place = slider("Replace token", 1, (k) => this.choose(k));
		this.what = field("by", "select");
		this.what.control.addEventListener("change", () => this.change(Number(this.what.control.value)));
		this.other = field("or by", "text", { size: 8, "data-enter": "1" });
		this.other.control.addEventListener("change", () => this.given());
		this.said = el("p", { class: "meter", "aria-live": "off" }, " ");
		this.out = el("div", { class: "stack" });
		const use = button("Use this text", () => this.read(), { class: "main" });
		root.append(sheet([this.text], [use, this.place, this.what, this.other]), this.said, this.out);
		begin(app, this.text.control, () => this.read());
	}

	async read() {
		const { app } = this;
		const text = this.text.control.value;
		await app.run(async () => {
			const reply = await app.backend.score({ model: app.card.id, text, top: 10 });
			if (!this.out.isConnected) return;
			app.shared.text = text;
			this.items = reply.tokens.map((id, k) => ({ id, text: reply.texts[k], nats: reply.nats[k], top: reply.top[k] }));
			this.place.control.max = String(Math.max(0, this.items.length - 2));
			await this.choose(Math.min(app.shared.at ?? Math.floor(this.items.length / 6), Math.max(0, this.items.length - 2)));
		});
	}

	async choose(at) {
		if (!this.items?.length) return;
		this.at = Math.max(0, Math.min(this.items.length - 1, at));
		this.app.shared.at = this.at;
		this.place.control.value = String(this.at);
		const own = this.items[this.at];
		let others = (own.top || []).filter((one) => one.id !== own.id);
		if (!others.length) others = [...new Map(this.items.filter((item) => item.id !== own.id).map((item) => [item.id, item])).values()].slice(0, 10);
		fill(this.what.control, others.map((one) => el("option", { value: one.id }, visible(one.text || one.token || ""))));
		if (others.length) await this.change(others[0].id);
	}

	async given() {
		const text = this.other.control.value;
		if (!text) return;
		await this.app.run(async () => {
			const { tokens } = await this.app.backend.tokenize(this.app.card.id, text);
			if (tokens.length) await this.change(tokens[0]);
		});
	}

	async change(id) {
		const turn = (this.turn += 1);
		await this.app.run(async () => {
			const reply = await this.app.backend.whatif({
				model: this.app.card.id, tokens: this.items.map((item) => item.id), at: this.at, replace: id,
			});
			if (turn === this.turn && this.out.isConnected) this.show(reply);
		});
	}

	show(reply) {
		const { at } = this;
		this.reply = reply;
		const lags = reply.kl.map((_, k) => k);
		const last = reply.kl.findLastIndex((kl) => kl >= 0.01);
		const own = visible(this.items[at].text);
		const other = visible(reply.replaced.text || reply.replaced.token);
		this.said.textContent = `${own} becomes ${other}. ` + (last < 0
			? "Nothing that follows is expected otherwise by 0.01 nats."
			: `The last token before which this changes what is expected by 0.01 nats is ${last + 1} tokens behind it.`);
		this.app.announce(this.said.textContent);
		const y = (values) => values.map((value) => Math.max(value, 1e-8));
		const look = (sign) => (item, span, k, light) => {
			const behind = k - at - 1;
			const delta = behind >= 0 && behind < reply.nats.length ? bits(reply.nats_changed[behind] - reply.nats[behind]) : 0;
			toned(span, sign * Math.max(-1, Math.min(1, delta / 3)), light);
			span.classList.toggle("here", k === at);
		};
		const pick = (k) => this.choose(k);
		const before = new Reading("The text as it is", { look: look(0), short: true, pick });
		const after = new Reading("The text with the change", { look: look(1), short: true, pick });
		const xLabel = "tokens read behind the change";
		fill(this.out,
			picture("Both texts", el("div", { class: "stack" }, before.box, after.box), [
				"Above the text as it is; below with the change: orange tokens came as a greater surprise, blue ones as a smaller.",
				"The tokens behind the change are the same in both; only what the network remembers of it differs.",
				"Change the first letter of a name that is repeated later, and look at the name's second place.",
			], { numbers: () => this.numbers() }),
			el("div", { class: "even" },
				curve("How much it still expects otherwise", { lines: [{ x: lags, y: y(reply.kl), colour: "accent" }], xLabel, yLabel: "nats", log: true }, [
					"The divergence (KL) between what is expected with and without the change; a step down on this scale is a factor.",
					"The line falls as the network forgets: where it stays flat, the change is remembered.",
					"Compare a letter within a word with a line end.",
				], "kl-by-lag"),
				curve("How much of it is in the state", { lines: [{ x: lags, y: reply.distance.map((d) => 100 * d), colour: "warm" }], xLabel, yLabel: "percent of the state", zero: true }, [
					"How far apart the two states are, in percent of the state's own size.",
					"A trace may stay in the state long after it ceased to matter for what is expected.",
					"Find a change that the state keeps, though no token is expected otherwise.",
				], "state-distance")));
		before.show(this.items);
		after.show(this.items.map((item, k) => (k === at ? { ...item, text: reply.replaced.text || reply.replaced.token } : item)));
		before.reveal(at);
		after.reveal(at);
	}

	numbers() {
		const { reply, at } = this;
		return table("Tokens whose surprise changed most", ["Place", "Token", "Bits before", "Bits with the change"],
			reply.changed.map((k) => [k + 1, visible(this.items[k].text), bits(reply.nats[k - at - 1]), bits(reply.nats_changed[k - at - 1])]));
	}

	key(key) {
		if (!arrow(key)) return false;
		this.choose(this.at + arrow(key));
		return true;
	}
}
