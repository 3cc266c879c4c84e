"""A server for models of all tasks, after OpenAI's interface: `recurra serve RUN`.

Here live HTTP, keys, sessions and the thread that steps a model for everybody. How a token is
chosen lives in `recurra.generate`; what a task answers, in `recurra.tasks`. Imports no torch.
"""
