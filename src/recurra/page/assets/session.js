// Writing with a model: a tree of tokens, and the states on the server that its nodes stand for.

import { Tree } from "./tree.js";

const TOP = 9;
const GONE = new Set(["state_expired", "state_not_found"]);

export class Session {
	constructor(backend, card) {
		this.backend = backend;
		this.card = card;
		this.tree = new Tree();
	}

	get model() {
		return this.card.id;
	}

	/** The tokens of a text, appended behind a node; with the state there and what may follow. */
	async type(anchor, text) {
		return this.#retry(async () => {
			const state = await this.#state(anchor);
			const reply = await this.backend.score(this.#asked(state, { text }));
			return this.#add(anchor, reply);
		});
	}

	/** Append ids behind a node. */
	async append(anchor, ids) {
		return this.#retry(async () => {
			const state = await this.#state(anchor);
			const reply = await this.backend.score(this.#asked(state, { tokens: ids }));
			return this.#add(anchor, reply);
		});
	}

	/** What the model expects behind a node, with its state. */
	async look(node) {
		if (node.next && (node.state || !node.parent)) return node.next;
		return this.#retry(async () => {
			if (!node.parent || node.state) {
				const reply = await this.backend.score(this.#asked(node.state, { tokens: [] }));
				node.next = reply.next;
			} else if (!(await this.#rewind(node))) {
				await this.#read(node);
			} else {
				const reply = await this.backend.score(this.#asked(node.state, { tokens: [] }));
				node.next = reply.next;
			}
			return node.next;
		});
	}

	/** Write up to `count` tokens behind a node as the settings say; `step(node)` at each. */
	async write(from, count, settings, step, signal) {
		let node = from;
		const take = ({ ids, text, nats }) => {
			ids.forEach((id, k) => {
				node = this.tree.add(node, id, text, nats[k] ?? null);
				step(node);
			});
		};
		await this.#retry(async () => {
			const body = (at, more) => ({ model: this.model, prompt: "", ...drawn(settings, this.card, at), ...more });
			if (!node.parent) await this.backend.write(body(node, { max_tokens: 1 }), take, signal);
			const left = count - (node.depth - from.depth);
			if (left < 1 || !node.parent) return;
			const state = await this.#state(node);
			await this.backend.write(body(node, { max_tokens: left, state }), take, signal);
		}).catch((error) => {
			if (error.name !== "AbortError") throw error;
		});
		return node;
	}

	/** `count` continuations of a node side by side; `piece` as the backend's. */
	async drafts(node, count, length, settings, piece, signal) {
		await this.#retry(async () => {
			const state = await this.#state(node);
			const body = { model: this.model, prompt: "", n: count, max_tokens: length };
			if (state) body.state = state;
			await this.backend.write({ ...body, ...drawn(settings, this.card, node) }, piece, signal);
		}).catch((error) => {
			if (error.name !== "AbortError") throw error;
		});
	}

	/** Make the branches that a link holds; the node where it stood. */
	async restore({ branches, at }) {
		const nodes = [this.tree.root];
		for (const [start, ids] of branches) {
			if (!nodes[start]) throw new Error("a branch that begins nowhere");
			const end = await this.append(nodes[start], ids);
			nodes.push(...end.since(nodes[start]));
		}
		if (!nodes[at]) throw new Error("a place that is not in the text");
		this.tree.go(nodes[at]);
		await this.look(nodes[at]);
		return nodes[at];
	}

	/** The id of the state behind a node; null of an empty text. */
	async state(node) {
		return this.#retry(() => this.#state(node));
	}

	#asked(state, more) {
		const body = { model: this.model, ...more, next: true, keep_state: true, top: TOP };
		if (state) body.state = state;
		return body;
	}

	async #state(node) {
		if (node.parent && !node.state && !(await this.#rewind(node))) await this.#read(node);
		return node.state;
	}

	/** Read the tokens between the last state before a node and the node. */
	async #read(node) {
		let anchor = node.parent;
		while (anchor.parent && !anchor.state) anchor = anchor.parent;
		const ids = node.since(anchor).map((one) => one.id);
		this.#add(anchor, await this.backend.score(this.#asked(anchor.state, { tokens: ids })));
	}

	/** Go back from a state behind a node, where that is nearer than one before it. */
	async #rewind(node) {
		let before = node.parent;
		while (before.parent && !before.state) before = before.parent;
		if (node.depth - before.depth <= 64) return false;
		let later = node.on;
		while (later && !later.state) later = later.on;
		if (!later) return false;
		const reply = await this.backend.rewind(later.state, node.depth);
		node.state = reply.id;
		node.sha = reply.sha256;
		return true;
	}

	#add(anchor, reply) {
		let node = anchor;
		reply.tokens.forEach((id, k) => {
			node = this.tree.add(node, id, reply.texts[k], reply.nats[k]);
			if (reply.top[k]?.length && node.parent) node.parent.next ||= reply.top[k];
		});
		if (reply.state) {
			node.state = reply.state.id;
			node.sha = reply.state.sha256;
		}
		node.next = reply.next;
		return node;
	}

	async #retry(work) {
		try {
			return await work();
		} catch (error) {
			if (!GONE.has(error.code)) throw error;
			this.tree.forget(); // states leave after a while: the text is read again
			return work();
		}
	}
}

/** The settings of a request; what is drawn depends on the seed and the place alone. */
export function drawn(settings, card, node) {
	const vocab = card.recurra.vocab || 1;
	return {
		temperature: settings.temperature,
		top_k: Math.min(settings.top_k, vocab),
		top_p: settings.top_p,
		seed: (settings.seed + node.depth) % Number.MAX_SAFE_INTEGER,
	};
}
