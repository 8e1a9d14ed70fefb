"""A static page that finds faces in the browser: its files, and ONNX Runtime's, which npm has."""
