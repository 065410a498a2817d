"""make_tabular.py FILE: trains the tabular model of the serving benchmark and writes it as ONNX.

scikit-learn's multi-layer perceptron (64-128-10) on its handwritten digits; the random state is fixed.
"""

import sys

import numpy as np
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

TRAINING_ROWS = 1400

pixels, digits = load_digits(return_X_y=True)
pixels = (pixels / 16).astype(np.float32)
classifier = MLPClassifier((128,), max_iter=60, random_state=0)
classifier.fit(pixels[:TRAINING_ROWS], digits[:TRAINING_ROWS])
model = convert_sklearn(
    classifier,
    initial_types=[("x", FloatTensorType([None, 64]))],
    target_opset=17,
    options={id(classifier): {"zipmap": False}},
)
with open(sys.argv[1], "wb") as file:
    file.write(model.SerializeToString())
