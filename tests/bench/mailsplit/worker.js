// The same job as rewrite_bench --worker, with npm mailsplit: split the message,
// decode its text parts, give every link a tracked one and the HTML a pixel by
// regular expressions, encode, join. Tokens are a constant: sealing costs nothing here.
//
//	node worker.js FILE...
import fs from 'node:fs';
import readline from 'node:readline';
import mailsplit from 'mailsplit';

const { Splitter, Joiner, Rewriter } = mailsplit;
const messages = process.argv.slice(2).map(name => fs.readFileSync(name));
const token = 'Q'.repeat(180);
const pixel = `<img src="https://t.example/o/${token}.gif" width="1" height="1" alt="" aria-hidden="true" style="display:none">`;
let links = 0;

function tracked() {
	links++;
	return `https://t.example/c/${token}`;
}

function html(text) {
	const out = text.replace(/(<a\b[^>]*?\shref\s*=\s*)(?:"(https?:[^"]*)"|'(https?:[^']*)')/gi,
		(all, before) => `${before}"${tracked()}"`);
	const end = out.lastIndexOf('</body>');

	return end < 0 ? out + pixel : out.slice(0, end) + pixel + out.slice(end);
}

function plain(text) {
	return text.replace(/https?:\/\/[^\s<>"]+/g, tracked);
}

function rewrite(message) {
	return new Promise((resolve, reject) => {
		const splitter = new Splitter();
		const joiner = new Joiner();
		const rewriter = new Rewriter(node => node.contentType === 'text/html' || node.contentType === 'text/plain');
		let size = 0;

		rewriter.on('node', data => {
			const chunks = [];
			const job = data.node.contentType === 'text/html' ? html : plain;

			data.decoder.on('data', chunk => chunks.push(chunk));
			data.decoder.on('end', () => data.encoder.end(Buffer.from(job(Buffer.concat(chunks).toString()))));
		});
		joiner.on('data', chunk => (size += chunk.length));
		joiner.on('end', () => resolve(size));
		for (const stream of [splitter, rewriter, joiner]) stream.on('error', reject);
		splitter.pipe(rewriter).pipe(joiner);
		splitter.end(message);
	});
}

const used = () => {
	const cpu = process.cpuUsage();

	return (cpu.user + cpu.system) / 1e6;
};

for (const message of messages) await rewrite(message);
console.log(JSON.stringify({ messages: messages.length, links }));
for await (const line of readline.createInterface({ input: process.stdin })) {
	const [word, limit] = line.split(' ');
	const start = used();
	let done = 0;

	if (word !== 'go') break;
	do {
		for (const message of messages) await rewrite(message);
		done += messages.length;
	} while (used() - start < Number(limit));
	console.log(JSON.stringify({ messages: done, cpu: used() - start }));
}
