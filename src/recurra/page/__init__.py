"""The page that shows a model think: its assets, read once. No build step, no foreign request.

`assets/backend.js` is the one interface between the page and whatever runs a model: a server, or
later a file. Nothing here imports a server.
"""

from recurra.page.files import CONTENT_SECURITY_POLICY, INDEX, Asset, names, read

__all__ = ["CONTENT_SECURITY_POLICY", "INDEX", "Asset", "names", "read"]
