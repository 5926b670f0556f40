// A button beside everything one might want to paste; without scripts the
// page loses only these.
'use strict';
for (const box of document.querySelectorAll('[data-copy]')) {
	const text = box.querySelector('code');
	const button = document.createElement('button');
	button.type = 'button';
	button.textContent = 'Copy';
	button.addEventListener('click', async () => {
		try {
			await navigator.clipboard.writeText(text.textContent);
			button.textContent = 'Copied';
		} catch {
			getSelection().selectAllChildren(text);
			button.textContent = 'Selected';
		}
		setTimeout(() => { button.textContent = 'Copy'; }, 1500);
	});
	box.append(button);
}
