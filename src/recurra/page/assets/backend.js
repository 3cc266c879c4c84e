// The one interface between the page and what runs a model. Another backend, of a single file that
// holds a model, has these methods, too; nothing else on the page makes a request.

/** What went wrong, in a sentence; `status` and `code` are the server's. */
export class BackendError extends Error {
	constructor(message, status = 0, code = "") {
		super(message);
		this.status = status;
		this.code = code;
	}
}

const KEY = "recurra.key";

/** A server of `recurra serve`. `askKey` is called when it wants a key, and resolves to one. */
export class ServerBackend {
	constructor(askKey) {
		this.askKey = askKey;
		this.asking = null;
		try {
			this.key = sessionStorage.getItem(KEY) || "";
		} catch {
			this.key = "";
		}
	}

	/** All models: {id, recurra: {task, cell, layers, hidden, vocab, state_bytes, sha256, chat}}. */
	async models() {
		return (await this.#json("GET", "v1/models")).data;
	}

	/** Ids, pieces and offsets of a text. */
	tokenize(model, text) {
		return this.#json("POST", "v1/tokenize", { model, text });
	}

	/** Surprise of tokens; with `next` what may follow, with `keep_state` the state behind them. */
	score(body, signal) {
		return this.#json("POST", "v1/score", body, signal);
	}

	/** The state in which a text had its first `to` tokens. */
	rewind(state, to) {
		return this.#json("POST", `v1/states/${encodeURIComponent(state)}/rewind`, { to });
	}

	/** A gate or a state of a layer: `values` is a Float32Array, units × tokens. */
	async inspect(body, signal) {
		const reply = await this.#json("POST", "v1/inspect", { ...body, encoding_format: "base64" }, signal);
		const bytes = Uint8Array.from(atob(reply.values), (sign) => sign.charCodeAt(0));
		return { ...reply, values: new Float32Array(bytes.buffer) };
	}

	/** What a replaced token, or a unit that is held, changes in what follows. */
	whatif(body, signal) {
		return this.#json("POST", "v1/whatif", body, signal);
	}

	/** Write on; `piece` is called with {index, text, ids, tokens, nats} as it comes. */
	async write(body, piece, signal) {
		const asked = { ...body, stream: true, return_token_ids: true, logprobs: 0 };
		await this.#events("v1/completions", asked, signal, (event) => {
			for (const choice of event.choices) {
				const scored = choice.logprobs;
				piece({
					index: choice.index,
					text: choice.text,
					ids: choice.token_ids || [],
					tokens: scored ? scored.tokens : [],
					nats: scored ? scored.token_logprobs.map((p) => (p === null ? null : -p)) : [],
				});
			}
		});
	}

	/** The next turn of a conversation; `delta` is called with its text as it comes. */
	async chat(body, delta, signal) {
		let usage = null;
		const asked = { ...body, stream: true, stream_options: { include_usage: true } };
		await this.#events("v1/chat/completions", asked, signal, (event) => {
			for (const choice of event.choices) delta(choice.delta.content || "");
			usage = event.usage || usage;
		});
		return usage;
	}

	/** Results of a task's endpoint, `verb`, in the order of inputs; any number of them. */
	async task(verb, model, inputs, more = {}) {
		const data = [];
		for (let from = 0; from < inputs.length; from += 64) {
			const part = inputs.slice(from, from + 64);
			data.push(...(await this.#json("POST", `v1/${verb}`, { model, inputs: part, ...more })).data);
		}
		return data;
	}

	async #json(method, path, body, signal) {
		return (await this.#fetch(method, path, body, signal)).json();
	}

	async #fetch(method, path, body, signal) {
		for (;;) {
			const headers = body === undefined ? {} : { "content-type": "application/json" };
			if (this.key) headers.authorization = `Bearer ${this.key}`;
			let reply;
			try {
				const sent = body === undefined ? undefined : JSON.stringify(body);
				reply = await fetch(path, { method, headers, body: sent, signal, credentials: "omit" });
			} catch (error) {
				if (error.name === "AbortError") throw error;
				throw new BackendError("The server does not answer. Is recurra serve still running?");
			}
			if (reply.ok) return reply;
			if (reply.status === 401) {
				await this.#newKey();
				continue;
			}
			throw await refused(reply);
		}
	}

	async #newKey() {
		this.asking ||= this.askKey(this.key !== "").finally(() => (this.asking = null));
		this.key = await this.asking;
		try {
			sessionStorage.setItem(KEY, this.key);
		} catch {
			// A browser that keeps nothing: the key lives as long as the page.
		}
	}

	async #events(path, body, signal, take) {
		const reply = await this.#fetch("POST", path, body, signal);
		const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
		let held = "";
		for (;;) {
			const { value, done } = await reader.read();
			if (done) break;
			held += value;
			const parts = held.split("\n\n");
			held = parts.pop();
			for (const part of parts) {
				if (!part.startsWith("data: ") || part === "data: [DONE]") continue;
				const event = JSON.parse(part.slice(6));
				if (event.error) throw new BackendError(event.error.message, reply.status, event.error.code);
				take(event);
			}
		}
	}
}

async function refused(reply) {
	try {
		const { error } = await reply.json();
		return new BackendError(error.message, reply.status, error.code);
	} catch {
		return new BackendError(`The server answered ${reply.status}.`, reply.status);
	}
}
