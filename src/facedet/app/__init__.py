"""The local app of `facedet app`: `finding` does the work, `pages` shows it with Gradio."""
