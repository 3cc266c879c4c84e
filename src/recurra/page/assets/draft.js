// Draft: three continuations side by side, of which one takes a word, a line, or all.

import { button, el, field, row } from "./dom.js";
import { picture } from "./picture.js";
import { bits, Reading } from "./text.js";

const COUNT = 3;

export const draft = {
	id: "draft",
	title: "Draft",
	lead: "Write together: the model offers three ways to go on. Take a word or a line of one, write a few words yourself, or ask for three others.",
	fits: (card) => Boolean(card.recurra.vocab),
	keys: [["1 2 3", "take a word of an offer"], ["Space", "three others"], ["← →", "a token back, or on"]],
	mount: (root, app) => new Draft(root, app),
};

class Draft {
	constructor(root, app) {
		Object.assign(this, { app, session: app.session, turn: 0, round: 0 });
		this.reading = new Reading("Draft", {
			pick: (index) => this.go(this.line[index]),
			look: (node, span) => (span.className = node === this.session.tree.at ? "here" : ""),
		});
		this.mine = field("Your own words", "text", { class: "typed", autocomplete: "off", "data-enter": "1" });
		this.mine.wrap.className = "field stacked";
		this.mine.control.addEventListener("keydown", (event) => {
			if (event.key === "Enter" && !event.isComposing) this.own();
		});
		this.offers = Array.from({ length: COUNT }, (_, k) => this.offer(k));
		root.append(
			picture("Draft", el("div", {}, this.reading.box, this.mine.wrap, row(button("Add", () => this.own()), button(["Three others ", el("kbd", {}, "Space")], () => this.again(), { class: "main" }))), [
				"The text so far; click a token to retry from there: what stood behind it stays a branch of Write.",
				"All three offers begin from the same state, which is read once, and are written as one batch.",
				"Raise the temperature in the settings, and see the offers part sooner.",
			]),
			el("div", { class: "three" }, this.offers.map((offer) => offer.box)));
		app.run(() => this.look());
	}

	get line() {
		return this.session.tree.at.path();
	}

	offer(k) {
		const reading = new Reading(`Offer ${k + 1}`, {
			short: true,
			look: (item, span) => (span.style.borderBottomWidth = `${Math.min(7, Math.round((bits(item.nats) || 0) * 0.8))}px`),
		});
		const box = el("section", { class: "card", "aria-label": `Offer ${k + 1}` }, el("h3", {}, `Offer ${k + 1}`), reading.box,
			row(button(["A word ", el("kbd", {}, String(k + 1))], () => this.take(k, "word")),
				button("A line", () => this.take(k, "line")), button("All", () => this.take(k, "all"))));
		return { reading, box, items: [] };
	}

	async look() {
		const { session } = this;
		if (session.opening) await session.opening;
		this.reading.show(this.line);
		this.reading.reveal(this.line.length - 1);
		const turn = (this.turn += 1);
		this.stopping?.abort();
		this.stopping = new AbortController();
		for (const offer of this.offers) offer.items = [];
		const settings = { ...this.app.settings, seed: this.app.settings.seed + 1000 * this.round };
		await session.drafts(session.tree.at, COUNT, 60, settings, ({ index, text, ids, nats }) => {
			if (turn !== this.turn) return;
			ids.forEach((id, k) => this.offers[index].items.push({ id, text, nats: nats[k] ?? null }));
		}, this.stopping.signal);
		if (turn !== this.turn) return;
		for (const offer of this.offers) offer.reading.show(offer.items);
		this.app.announce("Three offers are there.");
	}

	again() {
		this.round += 1;
		this.app.run(() => this.look());
	}

	take(k, how) {
		const { items } = this.offers[k];
		if (!items.length) return;
		const { tree } = this.session;
		let node = tree.at;
		let text = "";
		for (const item of items) {
			if (how === "word" && /\S/.test(text) && /^\s/.test(item.text)) break;
			if (how === "line" && text.trim() && text.includes("\n")) break;
			node = tree.add(node, item.id, item.text, item.nats);
			text += item.text;
		}
		tree.go(node);
		this.app.announce(`Taken: ${text}`);
		this.app.run(() => this.look());
	}

	own() {
		const text = this.mine.control.value;
		if (!text) return;
		const { session } = this;
		this.app.run(async () => {
			session.tree.go(await session.type(session.tree.at, text));
			this.mine.control.value = "";
			await this.look();
		});
	}

	go(node) {
		if (!node) return;
		this.session.tree.go(node);
		this.app.run(() => this.look());
	}

	key(key) {
		if (/^[123]$/.test(key)) this.take(Number(key) - 1, "word");
		else if (key === " ") this.again();
		else if (key === "ArrowLeft") this.go(this.session.tree.at.parent);
		else if (key === "ArrowRight") this.go(this.session.tree.at.on);
		else return false;
		return true;
	}

	leave() {
		this.turn += 1;
		this.stopping?.abort();
	}
}
