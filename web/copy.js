// A button beside everything one might want to paste; without scripts the
// page loses only these.
'use strict';
for (const [i, box] of document.querySelectorAll('[data-copy]').entries()) {
	const text = box.querySelector('code');
	const button = document.createElement('button');
	button.type = 'button';
	button.textContent = 'Copy';
	// For who hears the page: what this one copies, and that it did.
	text.id = `copy-${i}`;
	button.setAttribute('aria-describedby', text.id);
	button.setAttribute('aria-live', 'polite');
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
