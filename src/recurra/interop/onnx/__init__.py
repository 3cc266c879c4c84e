"""ONNX: files read (`read`), run (`run`, `operators`) and written (`write`, `files`).

Layers of ONNX files as torch modules are in `layers`, the one module here that needs torch beside
`write_module`.
"""
