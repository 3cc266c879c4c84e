// Tag: the tags of a sentence, and how sure the tagger is of each.

import { amount, pixels } from "./colour.js";
import { arrow, button, el, field, figure, fill, sheet, slider, table, visible } from "./dom.js";
import { drawn, legend, picture } from "./picture.js";
import { heat } from "./plot.js";

export const tag = {
	id: "tag",
	title: "Tag",
	lead: "Words in, a tag for each out. Behind every tag stands a probability: where it is low, the tagger hesitates, and between which tags.",
	fits: (card) => card.recurra.task === "sequence_tagger",
	keys: [["← →", "the word before, or behind"]],
	mount: (root, app) => new Tag(root, app),
};

class Tag {
	constructor(root, app) {
		Object.assign(this, { app, at: 0 });
		this.text = field("Words, with blanks between them", "textarea", { rows: 2, value: "the dog walks to the house ." });
		this.out = el("div", { class: "stack" });
		root.append(sheet([this.text], [button("Tag", () => this.look(), { class: "main" })]), this.out);
		this.look();
	}

	async look() {
		const { app } = this;
		const words = this.text.control.value.split(/\s+/).filter(Boolean).slice(0, 200);
		if (!words.length) return;
		await app.run(async () => {
			const [found] = await app.backend.task("tag", app.card.id, [words], { details: true });
			if (this.out.isConnected) this.show(found);
		});
	}

	show(found) {
		this.found = found;
		this.at = 0;
		const { words, tags, marginals } = found;
		const top = (row) => Object.entries(row).sort((a, b) => b[1] - a[1]);
		const best = new Map();
		for (const row of marginals) for (const [name, p] of Object.entries(row)) best.set(name, Math.max(best.get(name) ?? 0, p));
		const names = [...best.keys()].sort((a, b) => best.get(b) - best.get(a)).slice(0, 24);
		const canvas = drawn("Tags by words");
		this.said = el("p", { class: "meter" }, " ");
		const place = slider("Word", words.length - 1, (k) => this.choose(k));
		this.place = place.control;
		fill(this.out,
			picture("Tags", el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Tags" }, table("The sentence", ["Word", "Tag", "Probability", "Next"],
				words.map((word, k) => {
					const second = top(marginals[k]).find(([name]) => name !== tags[k]);
					return [visible(word), visible(tags[k]), marginals[k][tags[k]] ?? null, second ? `${visible(second[0])} ${figure(100 * second[1], 2)} %` : ""];
				}))), [
				"Each word with its tag, how probable that tag is, and which one comes next.",
				"With a CRF these are marginals: they count every tagging of the whole sentence, not this word alone.",
				"Use a word the model cannot know, and see what its neighbours and its ending tell.",
			]),
			picture("Probabilities", el("div", {}, canvas, legend("0", amount, "1"), place.wrap, this.said), [
				`A row is a tag, a column a word; bright is probable. The rows are ${names.length} tags, the most probable ones first.`,
				"Two bright fields in a column are a doubt: the errors of a tagger are nearly all among these.",
				"Write a sentence that can be read in two ways.",
			], { canvas, name: "marginals", numbers: () => table("Probabilities", ["Word", ...names.map(visible)], words.map((word, k) => [visible(word), ...names.map((name) => marginals[k][name] ?? 0)])) }));
		this.draw = heat(canvas, {
			rows: names.length, columns: words.length, table: pixels(amount), height: Math.max(60, 18 * names.length),
			at: (r, c) => marginals[c][names[r]] ?? 0, cross: () => [Math.max(0, names.indexOf(tags[this.at])), this.at], onPick: (_, c) => this.choose(c),
		});
		this.choose(0);
	}

	choose(at) {
		const { words, marginals } = this.found;
		this.at = Math.max(0, Math.min(words.length - 1, at));
		this.place.value = String(this.at);
		const row = Object.entries(marginals[this.at]).sort((a, b) => b[1] - a[1]).slice(0, 5);
		this.said.textContent = `${visible(words[this.at])}: ${row.map(([name, p]) => `${visible(name)} ${figure(100 * p, 2)} %`).join(", ")}`;
		this.app.announce(this.said.textContent);
		this.draw();
	}

	key(key) {
		if (!this.found || !arrow(key)) return false;
		this.choose(this.at + arrow(key));
		return true;
	}
}
