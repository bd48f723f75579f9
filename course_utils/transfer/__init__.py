"""Transfer learning: a network trained on ImageNet, its features, and its last blocks.

The name of the layer to cut at determines the network: MobileNet or MobileNetV2 of
`keras.applications`.

Howard, A. G. and others (2017): MobileNets. https://arxiv.org/abs/1704.04861
Sandler, M. and others (2018): MobileNetV2. https://arxiv.org/abs/1801.04381
"""

from course_utils.transfer.backbone import backbone, tail
from course_utils.transfer.features import feature_data, features
from course_utils.transfer.weights import CUTS, LAST, find_weights

__all__ = ["CUTS", "LAST", "backbone", "feature_data", "features", "find_weights", "tail"]
