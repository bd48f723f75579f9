"""The network that a chapter has trained, on another page: ``{trained-network} CHAPTER``."""

from __future__ import annotations

from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from notebook_outputs import NETWORK_KEY, explorer
from run_status import USES_RUNS
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

NOT_RUN = "The network is shown here once its chapter has been run."


class TrainedNetwork(nodes.General, nodes.Element):
    """Where a network will be; its ``chapter`` is the name of a document."""


class TrainedNetworkDirective(SphinxDirective):
    """Leave a placeholder, and remember that this page depends on the runs."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        NbMetadataCollector.set_doc_data(self.env, self.env.docname, USES_RUNS, True)
        chapter, _ = self.env.relfn2path(self.arguments[0])
        return [TrainedNetwork(chapter=chapter)]


class ShowTrainedNetworks(SphinxPostTransform):
    """Replace the placeholders when all chapters have been read."""

    default_priority = 8

    def run(self, **kwargs) -> None:
        known = NbMetadataCollector.get_doc_data(self.env)
        for node in list(self.document.findall(TrainedNetwork)):
            exported = known.get(node["chapter"], {}).get(NETWORK_KEY)
            node.replace_self(explorer(exported) if exported else nodes.paragraph(text=NOT_RUN))


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive, and what fills it in."""
    app.setup_extension("run_status")
    app.add_node(TrainedNetwork)
    app.add_directive("trained-network", TrainedNetworkDirective)
    app.add_post_transform(ShowTrainedNetworks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
