// Compare: two models on one text, or two beginnings of one text; and blind, by a reader's choice.

import { Blind } from "./blind.js";
import { button, el, facts, field, figure, fill, row, table, visible } from "./dom.js";
import { curve, picture } from "./picture.js";
import { passage } from "./read.js";
import { byWord, paired } from "./statistics.js";
import { bits, Reading, toned } from "./text.js";

export const compare = {
	id: "compare",
	title: "Compare",
	lead: "Which of two models expects a text better, and where? What does another beginning change? And whose text would you rather read?",
	fits: (card) => Boolean(card.recurra.vocab),
	keys: [],
	mount: (root, app) => new Compare(root, app),
};

/** A text in a first part, a second one, and the rest: by lines, or by words where it is one line. */
function halves(text) {
	const parts = text.match(text.includes("\n") ? /[^\n]*\n|[^\n]+$/g : /\S+\s*/g) || ["", ""];
	return parts.length > 2 ? parts : [text, text.split("").reverse().join("")];
}

const MODES = [["models", "two models, one text"], ["beginnings", "two beginnings, one text"], ["blind", "blind: which text is better?"]];

class Compare {
	constructor(root, app) {
		this.app = app;
		this.mode = field("Compare", "select", {}, MODES);
		this.mode.control.addEventListener("change", () => this.build());
		const names = app.writers.map((card) => [card.id, card.id]);
		this.other = field("with", "select", {}, names);
		this.other.control.value = (app.writers.find((card) => card.id !== app.card.id) || app.card).id;
		this.body = el("div", { class: "stack" });
		root.append(row(this.mode.wrap, this.other.wrap), this.body);
		if (names.length < 2) this.mode.control.value = "beginnings";
		this.build();
		if (!passage(app)) app.session.opening?.then(() => root.isConnected && this.build());
	}

	build() {
		const mode = this.mode.control.value;
		this.other.wrap.hidden = mode === "beginnings";
		this.other.wrap.style.display = mode === "beginnings" ? "none" : "";
		this.blind?.leave();
		this.shown = null;
		if (mode === "blind") {
			fill(this.body);
			this.blind = new Blind(this.body, this.app, () => this.other.control.value);
			return;
		}
		const whole = passage(this.app);
		const [one, two, ...rest] = halves(whole);
		const text = mode === "models" ? whole : rest.join("") || whole;
		this.text = field(mode === "models" ? "Text" : "What follows both beginnings", "textarea", { rows: 4, value: text });
		this.first = field("One beginning", "textarea", { rows: 2, value: one });
		this.second = field("Another beginning", "textarea", { rows: 2, value: two });
		this.out = el("div", { class: "stack" });
		fill(this.body, el("div", { class: "card" },
			mode === "beginnings" ? el("div", { class: "even" }, this.first.wrap, this.second.wrap) : null,
			this.text.wrap, row(button("Compare", () => this.look(), { class: "main" }))), this.out);
		if (this.text.control.value) this.look();
	}

	look() {
		return this.app.run(() => (this.mode.control.value === "models" ? this.models() : this.beginnings()));
	}

	async models() {
		const { app } = this;
		const text = this.text.control.value;
		const names = [app.card.id, this.other.control.value];
		const replies = await Promise.all(names.map((model) => app.backend.score({ model, text })));
		app.shared.text = text;
		const same = JSON.stringify(replies[0].pieces) === JSON.stringify(replies[1].pieces);
		const sides = replies.map((reply) => (same
			? reply.tokens.map((_, k) => ({ text: reply.texts[k], bits: bits(reply.nats[k]) || 0 }))
			: byWord(text, reply.offsets, reply.nats)));
		this.show(names, sides, same ? "token" : "word");
	}

	async beginnings() {
		const { app } = this;
		const text = this.text.control.value;
		const model = app.card.id;
		const starts = [this.first.control.value, this.second.control.value];
		const replies = await Promise.all(starts.map(async (start) => {
			const { state } = await app.backend.score({ model, text: start, keep_state: true });
			return app.backend.score(state ? { model, text, state: state.id } : { model, text });
		}));
		const sides = replies.map((reply) => reply.tokens.map((_, k) => ({ text: reply.texts[k], bits: bits(reply.nats[k]) || 0 })));
		this.show(["one beginning", "another beginning"], sides, "token");
	}

	show(names, sides, unit) {
		if (!this.out.isConnected) return;
		const delta = sides[0].map((item, k) => item.bits - sides[1][k].bits);
		const total = paired(delta, unit === "token" ? 16 : 4);
		const items = sides[0].map((item, k) => ({ ...item, delta: delta[k] }));
		const sum = (side) => side.reduce((all, item) => all + item.bits, 0);
		const sure = total.low === null
			? `The text is too short for an interval: ${delta.length} ${unit}s.`
			: `95 % interval of the difference: ${figure(total.low)} to ${figure(total.high)} bits, from ${total.blocks} blocks of neighbours. `
				+ (total.low > 0 ? `${names[1]} expects this text better.` : total.high < 0 ? `${names[0]} expects this text better.` : "The two cannot be told apart on this text.");
		this.reading = new Reading("Text shaded by difference", { look: (item, span, _, light) => toned(span, item.delta / 4, light) });
		let run = 0;
		const y = delta.map((d) => (run += d));
		const x = y.map((_, k) => k + 1);
		fill(this.out,
			facts([[`bits, ${names[0]}`, sum(sides[0])], [`bits, ${names[1]}`, sum(sides[1])], ["bits, difference", total.sum]]),
			el("p", {}, sure),
			picture("Where they differ", this.reading.box, [
				`Orange: the ${unit} cost ${names[0]} more bits than ${names[1]}; blue: fewer; the line below is thicker, the larger the difference.`,
				"A difference of a few bits in all says little: the interval tells how much of it is chance of this text.",
				"Find the one place that makes most of the difference.",
			], { numbers: () => table("Differences", [unit, names[0], names[1], "difference"], items.slice(0, 2000).map((item, k) => [visible(item.text), sides[0][k].bits, sides[1][k].bits, item.delta])) }),
			curve("Sum of differences", { lines: [{ x, y, colour: "accent" }], xLabel: unit, yLabel: "bits", zero: true }, [
				`The line rises where ${names[0]} pays more, and falls where ${names[1]} does.`,
				"A steady slope is one model being better; a single step is one lucky or unlucky place.",
				"With two beginnings: see after how many tokens the line lies flat, where the beginning is forgotten.",
			], "difference"));
		this.reading.show(items);
		this.app.announce(sure);
	}

	key(key) {
		return this.mode.control.value === "blind" && this.blind.key(key);
	}

	leave() {
		this.blind?.leave();
	}
}
