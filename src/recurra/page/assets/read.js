// Read: a text as the model finds it: what surprised it, how it went, the worst tokens.

import { palette, shade } from "./colour.js";
import { button, el, facts, field, figure, fill, sheet, slider, table, visible } from "./dom.js";
import { curve, legend, picture } from "./picture.js";
import { around, bits, measure, Reading, shaded } from "./text.js";

const MOST = 12; // bits of a token that is shaded fully

export const read = {
	id: "read",
	title: "Read",
	lead: "Give the model any text. It reads from left to right and tells of each token how many bits of surprise it was.",
	fits: (card) => Boolean(card.recurra.vocab),
	keys: [],
	mount: (root, app) => new Read(root, app),
};

/** The text that the views of one model look at: the one that Read was given, or Write's. */
export function passage(app) {
	return app.shared.text ?? app.session.tree.at.end().path().map((node) => node.text).join("");
}

/** Put that text into a control, and go; while Write makes its first text, when that is done. */
export async function begin(app, control, go) {
	if (app.shared.text == null && app.session.opening) {
		await app.session.opening;
		control.value = passage(app);
	}
	if (control.value && control.isConnected) go();
}

class Read {
	constructor(root, app) {
		this.app = app;
		this.text = field("Text", "textarea", { value: passage(app), rows: 5 });
		this.out = el("div", { class: "stack" });
		const go = button("Read", () => this.read(), { class: "main" });
		const file = field("or a file", "file", { accept: "text/*" });
		file.control.addEventListener("change", async () => {
			const [given] = file.control.files;
			if (!given) return;
			this.text.control.value = (await given.slice(0, 400_000).text()).slice(0, 100_000);
			this.read();
		});
		root.append(sheet([this.text], [go, file]), this.out);
		begin(app, this.text.control, () => this.read());
	}

	async read() {
		const { app } = this;
		const text = this.text.control.value;
		await app.run(async () => {
			const reply = await app.backend.score({ model: app.card.id, text, top: 3 });
			app.shared.text = text;
			this.show(reply.tokens.map((id, k) => ({ id, text: reply.texts[k], nats: reply.nats[k], top: reply.top[k] })));
		});
	}

	show(items) {
		const all = measure(items);
		this.items = items;
		const reading = new Reading("Text shaded by surprise", {
			look: (item, span, _, light) => shaded(span, (bits(item.nats) || 0) / MOST, light),
			pick: (index) => this.point(index),
		});
		this.reading = reading;
		this.said = el("p", { class: "meter" }, "Click a token, or take the slider, to see what the model expected there.");
		const place = slider("Token", items.length - 1, (k) => this.point(k));
		this.place = place.control;
		const window = Math.max(10, Math.round(items.length / 60));
		const smooth = rolling(items, window);
		const worst = items.map((item, k) => [k, item]).filter(([, item]) => item.nats !== null)
			.sort((a, b) => b[1].nats - a[1].nats).slice(0, 10);
		fill(this.out,
			facts([["Tokens", all.count], ["Bits a character", all.perCharacter], ["Perplexity", all.perplexity], ["Bits in all", all.bits]]),
			picture("Surprise", el("div", {}, reading.box, place.wrap, this.said,
				legend("0 bits", (t) => shade(t, palette().low), `${MOST} bits`)), [
				"The stronger the shade and the thicker the line, the more bits the token took the model by surprise.",
				"Bits add up: their sum is the size of the file that this model could compress the text to.",
				"Misspell a name in the middle of the text, and see how soon the model is at ease again.",
			], { numbers: () => table("Tokens", ["Token", "Bits", "Expected instead"],
				items.slice(0, 2000).map((item) => [visible(item.text), bits(item.nats), this.expected(item)])) }),
			el("div", { class: "even" },
				curve("Bits along the text", { lines: [{ ...smooth, colour: "accent" }], xLabel: "token", yLabel: "bits a character", zero: true }, [
				`The mean of ${window} tokens, a bit more at the start, where nothing is known yet.`,
				"A model that remembers gets better as it reads; steps in the line are changes of subject or of speaker.",
				"Read two texts of different authors one after the other.",
			], "bits"),
			picture("Worst ten", table("The most surprising tokens", ["Bits", "Before", "Token", "Expected"],
					worst.map(([k, item]) => [bits(item.nats), around(items, k)[0], visible(item.text), this.expected(item)])), [
					"The ten tokens that cost most, with what stood before and what was expected.",
					"Errors are rarely spread evenly: most of the loss is in few places.",
					"Are they names, beginnings of words, or changes of line?",
				])));
		reading.show(items);
	}

	expected(item) {
		return (item.top || []).map((one) => `${visible(one.text || one.token)} ${figure(100 * Math.exp(one.logprob), 2)} %`).join("  ");
	}

	point(index) {
		const item = this.items[index];
		if (!item) return;
		this.place.value = String(index);
		this.reading.spans.forEach((span, k) => span.classList.toggle("here", k + this.reading.from === index));
		this.reading.reveal(index);
		const what = item.nats === null ? "the first token, which nothing stands before" : `${figure(bits(item.nats))} bits; expected ${this.expected(item)}`;
		this.said.textContent = `Token ${index + 1}, ${visible(item.text)}: ${what}`;
		this.app.announce(this.said.textContent);
	}
}

/** Means of bits a character over windows of tokens. */
export function rolling(items, window) {
	const [x, y] = [[], []];
	let [nats, signs] = [0, 0];
	const size = (item) => [...item.text].length;
	items.forEach((item, k) => {
		nats += item.nats || 0;
		signs += item.nats === null ? 0 : size(item);
		const old = items[k - window];
		if (old) {
			nats -= old.nats || 0;
			signs -= old.nats === null ? 0 : size(old);
		}
		if (k >= Math.min(window, items.length) - 1 && signs > 0) {
			x.push(k + 1);
			y.push(nats / Math.LN2 / signs);
		}
	});
	return { x, y };
}
