// Dialogue: turns with a model whose card says how turns are written.

import { button, el, field, figure, fill, row } from "./dom.js";
import { picture } from "./picture.js";

export const dialogue = {
	id: "dialogue",
	title: "Dialogue",
	lead: "Talk with the model. Of a conversation that goes on only your new turn is read: the state of all that was said before is kept.",
	fits: (card) => Boolean(card.recurra.chat),
	keys: [["Enter", "send"], ["Esc", "stop the reply"]],
	mount: (root, app) => new Dialogue(root, app),
};

class Dialogue {
	constructor(root, app) {
		this.app = app;
		app.shared.talks ||= {};
		this.turns = app.shared.talks[app.card.id] ||= [];
		this.list = el("ol", { class: "talk", "aria-label": "Conversation" });
		this.mine = field("Your turn", "text", { class: "typed", autocomplete: "off", maxlength: 4000 });
		this.mine.wrap.className = "field stacked";
		const form = el("form", {}, this.mine.wrap, row(el("button", { type: "submit", class: "main" }, "Send"), button(["Stop ", el("kbd", {}, "Esc")], () => this.stop()),
			button("Again", () => this.again()), button("New conversation", () => this.fresh())));
		form.addEventListener("submit", (event) => {
			event.preventDefault();
			this.send();
		});
		this.meter = el("p", { class: "meter" }, "Say something: a line is enough.");
		root.append(picture("Conversation", el("div", {}, this.list, form, this.meter), [
			"Your turns at the right, the model's at the left, and below how many tokens had to be read for the last reply.",
			"A turn costs its own tokens, however long the conversation is: the model's memory has a fixed size. So has its attention to what you said first.",
			"Change an earlier turn of yours: the conversation goes on from there, and only what is new is read.",
		]));
		this.draw();
	}

	draw() {
		const rows = this.turns.map((turn, k) => {
			const edit = turn.role === "user" ? button("Change", () => this.change(k), { "aria-label": `Change turn ${k + 1}` }) : null;
			return el("li", { class: turn.role === "user" ? "mine" : "" },
				el("div", { class: "who" }, turn.role === "user" ? "You" : this.app.card.id, edit), el("div", { class: "said" }, turn.content || "…"));
		});
		fill(this.list, rows);
	}

	async send() {
		const text = this.mine.control.value.trim();
		if (!text || this.stopping) return;
		this.mine.control.value = "";
		this.turns.push({ role: "user", content: text });
		await this.reply();
	}

	async reply(seed = this.app.settings.seed) {
		const asked = [...this.turns];
		const turn = { role: "assistant", content: "" };
		this.turns.push(turn);
		this.stopping = new AbortController();
		this.draw();
		const { temperature, top_k, top_p } = this.app.settings;
		const body = {
			model: this.app.card.id, messages: asked, temperature, top_p, max_tokens: 300,
			top_k: Math.min(top_k, this.app.card.recurra.vocab), seed: seed + asked.length,
		};
		const began = performance.now();
		const usage = await this.app.run(() => this.app.backend.chat(body, (text) => {
			turn.content += text;
			this.list.lastElementChild.lastElementChild.textContent = turn.content || "…";
		}, this.stopping.signal));
		this.stopping = null;
		if (!turn.content) this.turns.splice(this.turns.indexOf(turn), 1);
		this.draw();
		if (usage) {
			const cached = usage.prompt_tokens_details.cached_tokens;
			this.meter.textContent = `${figure(usage.prompt_tokens - cached)} of ${figure(usage.prompt_tokens)} tokens were read for this reply; ${figure(usage.completion_tokens)} written, in ${figure(performance.now() - began, 2)} ms.`;
		}
		this.app.announce(turn.content || "The reply is empty.");
	}

	again() {
		if (this.stopping || !this.turns.length) return;
		if (this.turns.at(-1).role === "assistant") this.turns.pop();
		this.tries = (this.tries || 0) + 1;
		this.reply(this.app.settings.seed + 1000 * this.tries);
	}

	change(k) {
		this.stop();
		this.mine.control.value = this.turns[k].content;
		this.turns.splice(k);
		this.draw();
		this.mine.control.focus();
	}

	fresh() {
		this.stop();
		this.turns.length = 0;
		this.draw();
		this.mine.control.focus();
	}

	stop() {
		this.stopping?.abort();
	}

	key(key) {
		if (key !== "Escape") return false;
		this.stop();
		return true;
	}

	leave() {
		this.stop();
	}
}
