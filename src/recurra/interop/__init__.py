"""Models and layers to other libraries and back: a module or a folder for each format.

What users call is in `recurra.export`, which brings in what a name needs when it is used.
"""
