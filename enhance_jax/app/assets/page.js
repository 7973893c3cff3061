// What Gradio's parts lack: a picture can be pasted.

import "/page/comparison.js";

async function take(file) {
  const place = document.querySelector("#picture");
  if (!place || place.offsetParent === null) return;
  // A picture that is there already hides the input of the next one.
  place.querySelector('button[aria-label="Clear"]')?.click();
  for (let i = 0; i < 200; i++) {
    const input = place.querySelector('input[type="file"]');
    if (input) {
      const files = new DataTransfer();
      files.items.add(file);
      input.files = files.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
      return;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
}

document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  const picture = files.find((file) => file.type.startsWith("image/"));
  if (!picture) return;
  event.preventDefault();
  take(picture);
});
