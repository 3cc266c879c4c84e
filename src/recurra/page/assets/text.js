// A text whose tokens are shaded and can be pointed at. What is shown already stays in place.

import { css, inkOn, palette, shade, signed } from "./colour.js";
import { el, running } from "./dom.js";
import { keepDrawn } from "./plot.js";

const MOST = 4000;

/** Shows tokens {text, …} in `box`; `look(item, span, index, light)` gives each its looks, `pick(index)` is
 *  called for a click. Beyond 4,000 tokens the first are left out, and it says so. */
export class Reading {
	constructor(label, { pick = null, look = () => {}, short = false } = {}) {
		this.box = el("div", { class: short ? "reading short" : "reading", tabindex: "0", role: "region", "aria-label": label });
		this.look = look;
		this.items = [];
		this.spans = [];
		this.from = 0;
		keepDrawn({ canvas: this.box, draw: () => this.paint() });
		if (pick) {
			this.box.addEventListener("click", (event) => {
				const index = this.spans.indexOf(event.target);
				if (index >= 0) pick(this.from + index);
			});
		}
	}

	/** Show these tokens; those that are the same objects as before keep their places. */
	show(items) {
		const from = Math.max(0, items.length - MOST);
		const seen = items.slice(from);
		let same = 0;
		if (from === this.from) while (same < seen.length && seen[same] === this.items[same]) same += 1;
		for (const span of this.spans.splice(same)) span.remove();
		if (same === 0) this.box.replaceChildren();
		if (same === 0 && from) this.box.append(el("em", {}, `… ${from} tokens before `));
		for (const item of seen.slice(same)) {
			const span = el("span", {}, running(item.text) || "▯");
			this.spans.push(span);
			this.box.append(span);
		}
		this.items = seen;
		this.from = from;
		this.paint();
	}

	/** Give all tokens their looks again. */
	paint() {
		const light = palette();
		this.items.forEach((item, k) => this.look(item, this.spans[k], this.from + k, light));
	}

	/** Bring a token into view inside the box, without moving the page. */
	reveal(index) {
		const span = this.spans[index - this.from];
		if (!span) return;
		const { offsetTop: top, offsetHeight: tall } = span;
		const above = top - this.box.offsetTop;
		if (above < this.box.scrollTop || above + tall > this.box.scrollTop + this.box.clientHeight) {
			this.box.scrollTop = above - this.box.clientHeight / 2;
		}
	}
}

/** Shade a token by an amount in 0 … 1, with a line below it as thick: colour is not alone. */
export function shaded(span, share, light) {
	const colour = shade(share, light.low);
	paint(span, colour, share);
}

/** Shade a token by a value in -1 … 1: blue below nought, orange above. */
export function toned(span, value, light) {
	paint(span, signed(value, light.low), Math.abs(value || 0));
}

function paint(span, colour, share) {
	span.style.backgroundColor = css(colour);
	span.style.color = inkOn(colour);
	span.style.borderBottomWidth = `${Math.round(4 * Math.min(1, share || 0))}px`;
	span.style.borderBottomColor = inkOn(colour);
}

/** Bits of a number of nats. */
export const bits = (nats) => (nats === null || nats === undefined ? null : nats / Math.LN2);

/** Sums of bits and characters of tokens: {count, bits, characters, perCharacter, perplexity}. */
export function measure(items) {
	const known = items.filter((item) => item.nats !== null);
	const nats = known.reduce((sum, item) => sum + item.nats, 0);
	const characters = known.reduce((sum, item) => sum + [...item.text].length, 0);
	return {
		count: items.length,
		bits: nats / Math.LN2,
		characters,
		perCharacter: characters ? nats / Math.LN2 / characters : null,
		perplexity: known.length ? Math.exp(nats / known.length) : null,
	};
}

/** The text around a token, for lists: [before, token, after]. */
export function around(items, index, reach = 24) {
	const join = (part) => part.map((item) => running(item.text)).join("").replaceAll("\n", "");
	return [
		join(items.slice(Math.max(0, index - reach), index)).slice(-reach),
		running(items[index].text).replaceAll("\n", "") || "▯",
		join(items.slice(index + 1, index + 1 + reach)).slice(0, reach),
	];
}
