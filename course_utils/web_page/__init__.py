"""A trained network as a page: plain JavaScript computes every layer while the reader watches.

`network.js` computes the network, `explorer.js` shows it, and `style.css` says how it looks. They
are written into a page together with the network and the images, because a page that was opened
from disk may neither fetch files nor load modules.
"""
